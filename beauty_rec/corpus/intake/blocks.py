"""Input files as blocks of JSON lines: `.jsonl`, `.jsonl.gz` and `.parquet`, in bounded memory.

A block is a few megabytes of whole lines. Parquet rows are written as JSON lines too, so that one
validation serves every format.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from beauty_rec.corpus.intake.columns import readable
from beauty_rec.corpus.intake.errors import CorpusFileError

BLOCK_BYTES = 8 << 20
PARQUET_ROWS = 8192
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
_HEAD_BYTES = 2000
_UNPACK = "Unpack it, or compress it with gzip and name it .jsonl.gz"
_UTF_16 = ("text in UTF-16 or UTF-32", "Write it as UTF-8")
_OTHER_KINDS = {
    b"\xff\xfe": _UTF_16, b"\xfe\xff": _UTF_16, b"{\0": _UTF_16, b"\0{": _UTF_16,
    b"\0\0\xfe\xff": _UTF_16, b"\0\0\0{": _UTF_16,
    b"PAR1": ("a Parquet file", "Name it .parquet"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", _UNPACK),
    b"BZh": ("compressed with bzip2", _UNPACK),
    b"\xfd7zXZ\0": ("compressed with xz", _UNPACK),
    b"PK\x03\x04": ("a zip archive", _UNPACK),
}  # fmt: skip
"""What a file may be instead, by its first bytes, none of which begins a line of JSON."""


@dataclass(frozen=True)
class Block:
    """Whole lines of a file; ``first_line`` counts from 1.

    ``oversized`` holds (line, first bytes) of lines that were skipped before the block because
    they are too long to be held; ``position`` is how far (bytes) the file has been read.
    """

    first_line: int
    data: bytes
    position: int
    oversized: list[tuple[int, bytes]] = field(default_factory=list)


def iter_blocks(path: Path, max_line_bytes: int) -> Iterator[Block]:
    """Yield the blocks of a file in order; at most a few blocks are held in memory.

    Raises:
        CorpusFileError: the file is missing, empty, a folder, of another kind, or damaged. Damage
            behind the first block shows only when the reader gets there.
    """
    kind = _kind_of(path)
    try:
        if kind == ".parquet":
            yield from _parquet_blocks(path)
            return
        with path.open("rb") as raw:
            if kind == ".jsonl.gz":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    _refuse_other_kinds(path, unpacked.peek(8)[:8])
                    yield from _line_blocks(unpacked.read, raw.tell, max_line_bytes)
            else:
                _refuse_other_kinds(path, raw.peek(8)[:8])
                yield from _line_blocks(raw.read, raw.tell, max_line_bytes)
    except gzip.BadGzipFile as error:
        raise CorpusFileError(
            path, f"not a sound gzip file ({error})", "Download it again, or name it .jsonl"
        ) from error
    except (EOFError, zlib.error) as error:
        raise CorpusFileError(
            path, "the gzip data is cut off or damaged", "Download or copy the file again"
        ) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0][:200]
        raise CorpusFileError(
            path, f"not a readable Parquet file ({reason})", "Write or copy the file again"
        ) from error
    except OSError as error:
        raise CorpusFileError(
            path, f"cannot be read ({error.strerror or error})", "Check the disk and permissions"
        ) from error


def _kind_of(path: Path) -> str:
    """Return the suffix that says how to read ``path``, after the checks that need no reading."""
    if path.is_dir():
        raise CorpusFileError(path, "is a folder", "Name the file in it")
    if not path.exists():
        if path.is_symlink():
            raise CorpusFileError(path, "is a link that leads nowhere", "Name the file itself")
        raise CorpusFileError(
            path, "does not exist", "Check the path, or run `beauty-rec data download`"
        )
    if not path.is_file():
        raise CorpusFileError(path, "is a pipe or a device", "Write what it gives to a file")
    kind = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
    if kind is None:
        raise CorpusFileError(path, "has an unknown suffix", f"Give one of {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise CorpusFileError(path, "is empty", "Download or copy the file again")
    return kind


def _refuse_other_kinds(path: Path, head: bytes) -> None:
    """Raise where the first bytes are those of something else than lines of UTF-8."""
    if head.startswith(b"\x1f\x8b"):
        packed = path.name.lower().endswith(".gz")
        remedy = "Unpack it once" if packed else "Name it .jsonl.gz"
        raise CorpusFileError(path, f"is gzip-compressed{' twice' if packed else ''}", remedy)
    for start, (what, remedy) in _OTHER_KINDS.items():
        if head.startswith(start):
            raise CorpusFileError(path, f"is {what}", remedy)


def _line_blocks(
    read: Callable[[int], bytes], tell: Callable[[], int], max_line_bytes: int
) -> Iterator[Block]:
    line, carry, head = 1, b"", b""
    skipping = False
    oversized: list[tuple[int, bytes]] = []
    while chunk := read(BLOCK_BYTES):
        if skipping:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            oversized.append((line, head))
            line += 1
            chunk, skipping = chunk[end + 1 :], False
        end = chunk.rfind(b"\n") + 1
        if end:
            data = b"".join((carry, memoryview(chunk)[:end]))
            carry = chunk[end:]
            yield Block(line, data, tell(), oversized)
            line += data.count(b"\n")
            oversized = []
        else:
            carry += chunk
        if len(carry) > max_line_bytes:
            skipping, head, carry = True, carry[:_HEAD_BYTES], b""
    if skipping:
        oversized.append((line, head))
        line += 1
    if carry or oversized:
        yield Block(line, carry, tell(), oversized)


def _parquet_blocks(path: Path) -> Iterator[Block]:
    frame = pl.scan_parquet(path, glob=False)
    rows = frame.select(pl.len()).collect().item()
    columns = list(readable(frame.collect_schema()))
    if not columns:
        raise CorpusFileError(
            path, "has no column that can be read", "Write its fields as texts and numbers"
        )
    if not rows:
        return
    size = path.stat().st_size
    line = 1
    for batch in frame.select(columns).collect_batches(
        chunk_size=PARQUET_ROWS, maintain_order=True
    ):
        buffer = io.BytesIO()
        batch.write_ndjson(buffer)
        yield Block(line, buffer.getvalue(), size * (line + len(batch) - 1) // rows)
        line += len(batch)
