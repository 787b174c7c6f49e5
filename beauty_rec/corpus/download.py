"""The official Amazon Reviews 2023 files: resumable, checked, hash recorded beside them.

Source: McAuley Lab, https://amazon-reviews-2023.github.io (research use).
"""

import gzip
import re
import time
import zlib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
from tqdm import tqdm

from beauty_rec.artifacts import write_text_atomic

BASE_URL = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw"
_BLOCK = 1 << 20


class DownloadError(RuntimeError):
    """A file could not be had; the message names the address and what to do."""


@dataclass(frozen=True)
class Download:
    """A finished file: its place, size in bytes and SHA-256; ``fetched`` is what came over."""

    path: Path
    size: int
    sha256: str
    fetched: int


def file_urls(category: str, base_url: str = BASE_URL) -> dict[str, str]:
    """Return the addresses of the `reviews` and `items` file of a category, e.g. All_Beauty.

    Raises:
        ValueError: ``category`` is no such name (letters, digits and underscores).
    """
    if not re.fullmatch(r"\w+", category, re.ASCII):
        raise ValueError(f"{category!r} is no category name; they look like All_Beauty")
    return {
        "reviews": f"{base_url}/review_categories/{category}.jsonl.gz",
        "items": f"{base_url}/meta_categories/meta_{category}.jsonl.gz",
    }


def download_category(
    category: str, folder: Path, base_url: str = BASE_URL, attempts: int = 5
) -> dict[str, Download]:
    """Download both files of a category into ``folder``; what is there and whole is kept.

    Raises:
        DownloadError: as `download_file`.
        ValueError: as `file_urls`.
    """
    urls = file_urls(category, base_url)
    return {
        kind: download_file(url, folder / url.rsplit("/", 1)[1], attempts)
        for kind, url in urls.items()
    }


def download_file(
    url: str, target: Path, attempts: int = 5, pause_seconds: float = 1.0
) -> Download:
    """Download ``url`` to ``target`` (a .gz file), resuming what an earlier call left.

    Until it is whole and its gzip data is sound, the file is called ``<target>.part``. The hash
    stands in ``<target>.sha256`` in the format of ``sha256sum``. A ``target`` that agrees with
    that file is not asked for again.

    Args:
        attempts: connections in a row that may break off without a byte of progress.
        pause_seconds: before the first new attempt; doubled each time.

    Raises:
        DownloadError: no answer, an answer that is an error (404: no such category), or data
            that is no sound gzip file (it is deleted then).
    """
    recorded = target.with_name(target.name + ".sha256")
    if target.exists() and recorded.exists():
        digest = _digest(target)
        if recorded.read_text(encoding="utf-8").split()[:1] == [digest]:
            return Download(target, target.stat().st_size, digest, 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    fetched, failures = 0, 0
    with _client(url) as client:
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                fetched += _fetch(client, url, part)
                break
            except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError) as error:
                after = part.stat().st_size if part.exists() else 0
                fetched += max(after - before, 0)
                failures = 1 if after > before else failures + 1
                if failures >= attempts:
                    raise DownloadError(
                        f"{url}: the connection failed {failures} times ({error!r}). Run the "
                        f"command again to go on from {after:,} bytes ({part})"
                    ) from error
                time.sleep(pause_seconds * 2 ** (failures - 1))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise DownloadError(
                    f"{url} is not an address that can be read ({error})"
                ) from error
    _check_gzip(part, url)
    digest = _digest(part)
    write_text_atomic(recorded, f"{digest}  {target.name}\n")
    part.replace(target)
    return Download(target, target.stat().st_size, digest, fetched)


def _client(url: str) -> httpx.Client:
    try:
        return httpx.Client(follow_redirects=True, timeout=30)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"{url}: the proxy of the environment cannot be used; name an http:// one in "
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or unset them"
        ) from error


def _fetch(client: httpx.Client, url: str, part: Path) -> int:
    """Append what is missing to ``part`` in one request; return the bytes that came."""
    have = part.stat().st_size if part.exists() else 0
    # Without "identity" a server may compress on the way, and sizes and ranges lose their meaning.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:  # nothing behind what is here: whole, or not this file
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(have):
                return 0
            part.unlink()
            raise httpx.ReadError("the partial file does not belong to this address; starting over")
        if answer.status_code not in (200, 206):
            raise DownloadError(
                f"{url}: the server answered {answer.status_code}. "
                + ("Check the category name" if answer.status_code == 404 else "Try again later")
            )
        start = have if _resumes_at(answer, have) else 0  # a server may ignore Range
        length = answer.headers.get("Content-Length")
        total_bytes = start + int(length) if length else None
        came = 0
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                desc=part.name, initial=start, total=total_bytes, unit="B", unit_scale=True,
                disable=None,
            ) as bar,
        ):  # fmt: skip
            for block in answer.iter_raw():  # as it comes: a buffer would be lost with the line
                file.write(block)
                came += len(block)
                bar.update(len(block))
        if total_bytes is not None and start + came != total_bytes:
            raise httpx.ReadError(f"{start + came:,} of {total_bytes:,} bytes came")
        return came


def _resumes_at(answer: httpx.Response, have: int) -> bool:
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
        f"bytes {have}-"
    )


def _check_gzip(part: Path, url: str) -> None:
    try:
        with gzip.open(part) as file:
            while file.read(_BLOCK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        part.unlink()
        raise DownloadError(
            f"{url}: what came is no sound gzip file ({error}); it was deleted. Try again, and "
            "see whether a proxy or login page stands between"
        ) from error


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
