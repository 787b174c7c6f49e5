"""Blocks of an input file that were read before: a file that has grown is read where it grew.

Most files grow at their end, so their first blocks stay what they were. A block is known by a hash
of its bytes, its place, and the code and rules that read it; its rows stand in the cache as they
were converted, so that a reading that was killed goes on, too. A block with a row dated ahead of
the clock is read again from the day on that the row is sound.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from beauty_rec.artifacts import ODD_JSON, content_hash, link_or_copy, write_text_atomic
from beauty_rec.corpus.forgotten import NOBODY, Forgotten
from beauty_rec.corpus.intake.blocks import Block
from beauty_rec.corpus.intake.convert import BYTE_ORDER_MARK, IN_THE_FUTURE, Rules
from beauty_rec.corpus.schema import REVIEW
from beauty_rec.corpus.times import CLOCK_SLACK_MS

LOG = logging.getLogger("beauty_rec.cache")
_FILES = ("part", "refused")


class KeptParts:
    """The converted blocks of one input file, in a folder of the cache.

    Args:
        folder: of the cache.
        maker: stands for the code and settings that convert.
        forgotten: users of whom nothing is kept: a block with a row of theirs is read again for as
            long as the file holds it; of a refused row only what it says is not kept.

    Attributes:
        reused, converted: how many blocks were taken over, and how many were not.
    """

    def __init__(self, folder: Path, maker: str, forgotten: Forgotten = NOBODY) -> None:
        self._folder, self._maker, self._forgotten = folder, maker, forgotten
        self._used: set[str] = set()
        self.reused = self.converted = 0

    def take(self, rules: Rules, block: Block, part: Path, refused: Path) -> "Counts | None":
        """Put a block's files where they are wanted and return its counts; None: it is not known.

        A file that is not what was written is dropped with a warning.
        """
        key = self._key(rules, block)
        note = self._folder / f"{key}.json"
        try:
            known = json.loads(note.read_text(encoding="utf-8"))
            if known.pop("check") != _check(known):
                raise ValueError("not what was written")
            if known["until"] is not None and rules.now_ms >= known["until"]:
                return None
            for kind, target in zip(_FILES, (part, refused), strict=True):
                if kind not in known["hashes"]:
                    continue
                link_or_copy(self._path(key, kind), target)
                if content_hash(target) != known["hashes"][kind]:
                    raise ValueError("not what was written")
            counts = int(known["rows"]), Counter[str](known["reasons"])
            if self._names_forgotten(part) or self._says_of_forgotten(refused):
                part.unlink(missing_ok=True)
                refused.unlink(missing_ok=True)
                return None
        except FileNotFoundError:
            return None
        except (OSError, *ODD_JSON) as error:
            LOG.warning("%s cannot be trusted (%s): the block is read again", note, error)
            part.unlink(missing_ok=True)
            refused.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            return None
        self._used.add(key)
        self.reused += 1
        return counts

    def keep(self, rules: Rules, block: Block, counts: "Counts", part: Path, refused: Path) -> None:
        """Keep the files of a block that was just converted.

        What forgotten users say is taken out of its refused rows.
        """
        self.converted += 1
        if self._says_of_forgotten(refused):
            said = pl.read_parquet(refused, glob=False)
            self._forgotten.without_excerpts(said).write_parquet(refused)
        if self._names_forgotten(part):
            return
        rows, reasons = counts
        ahead = any(reason.endswith(IN_THE_FUTURE) for reason in reasons)
        until = _first_sound_ms(block, refused) if ahead else None
        key = self._key(rules, block)
        self._folder.mkdir(parents=True, exist_ok=True)
        hashes = {}
        for kind, source in zip(_FILES, (part, refused), strict=True):
            if source.exists():
                self._path(key, kind).unlink(missing_ok=True)
                link_or_copy(source, self._path(key, kind))
                hashes[kind] = content_hash(source)
        note = {"rows": rows, "reasons": reasons, "hashes": hashes, "until": until}
        text = json.dumps({**note, "check": _check(note)})
        write_text_atomic(self._folder / f"{key}.json", text)
        self._used.add(key)

    def drop_others(self) -> None:
        """Remove what the file no longer holds, or what is not to be kept."""
        for path in self._unused():
            path.unlink(missing_ok=True)

    def _names_forgotten(self, part: Path) -> bool:
        if not len(self._forgotten) or not part.exists():
            return False
        rows = pl.read_parquet(part, columns=["user_id", "timestamp"], glob=False)
        left = self._forgotten.left(rows, time="timestamp", slack_ms=CLOCK_SLACK_MS)
        return left.height < rows.height

    def _says_of_forgotten(self, refused: Path) -> bool:
        if not len(self._forgotten) or not refused.exists():
            return False
        said = pl.read_parquet(refused, glob=False)
        return not self._forgotten.without_excerpts(said).equals(said)

    def _unused(self) -> Iterator[Path]:
        for path in self._folder.glob("*.*"):
            if path.name.split(".")[0] not in self._used:
                yield path

    def _path(self, key: str, kind: str) -> Path:
        return self._folder / f"{key}.{kind}.parquet"

    def _key(self, rules: Rules, block: Block) -> str:
        rest = (self._maker, rules.kind, rules.file, rules.max_line_bytes, block.first_line)
        digest = hashlib.blake2b(repr((*rest, block.oversized)).encode(), digest_size=16)
        digest.update(block.data)
        return digest.hexdigest()


Counts = tuple[int, Counter[str]]
"""Valid rows, and refused ones by reason."""


def _first_sound_ms(block: Block, refused: Path) -> int:
    """Return the moment, Unix ms, from which on one of the refused rows is no longer ahead."""
    ahead = pl.col("reason").str.ends_with(IN_THE_FUTURE)
    numbers = pl.read_parquet(refused, glob=False).filter(ahead)["line"].to_list()
    lines = block.data.split(b"\n")
    rows = [lines[number - block.first_line].removeprefix(BYTE_ORDER_MARK) for number in numbers]
    times = [REVIEW.validate_json(row)["timestamp"] for row in rows]
    return int(min(times)) - CLOCK_SLACK_MS


def _check(note: dict[str, object]) -> str:
    return hashlib.blake2b(json.dumps(note, sort_keys=True).encode(), digest_size=16).hexdigest()
