"""Reading, validating and writing reviews: rows/s and peak memory of all processes.

    python benchmarks/reading.py [--reviews 701528] [--folder DIR] [--gzip] [--workers N]

Makes a synthetic file with the line lengths and the dirt of Amazon's All_Beauty (about 470 bytes
a line; a fifth of the texts with tags, a quarter with double blanks; 1% duplicates, 0.5% bad
rows), then measures `ingest_reviews` from the opened file to the two Parquet files on disk.
"""

import argparse
import gzip
import json
import os
import random
import tempfile
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import psutil

from beauty_rec.artifacts import content_hash
from beauty_rec.corpus.intake.ingest import ingest_reviews
from beauty_rec.settings import CorpusSettings

NOW_MS = 1_790_000_000_000
TEXT = (
    "this cream leaves my skin soft and smells great but the bottle arrived half empty so I would "
    "not buy it again hair feels silky after one wash really love lipstick color shade matches "
    "perfectly dry oily sensitive scalp nails polish brush quality cheap price gift daughter mom "
    "wedding summer winter morning night works product using weeks results difference wrinkles"
)
WORDS = TEXT.split()
BAD_ROWS = (
    b'{"rating": 6.0, "user_id": "U", "parent_asin": "B", "timestamp": 1600000000000}',
    b'{"rating": 5.0, "user_id": "", "parent_asin": "B", "timestamp": 1600000000000}',
    b'{"rating": 5.0, "user_id": "U", "parent_asin": "B", "timestamp": 1600000000}',
    b'{"rating": 5.0, "user_id": "U", "parent_asin": "B", "tim',
    b'{"rating": 5.0, "user_id": "U\xff", "parent_asin": "B", "timestamp": 1600000000000}',
)


def write_reviews(path: Path, rows: int, seed: int = 13) -> None:
    """Write ``rows`` JSON lines to ``path`` (gzip by its suffix)."""
    random_ = random.Random(seed)
    phrases = [" ".join(random_.choices(WORDS, k=12)) for _ in range(5_000)]
    line = b""
    opened: AbstractContextManager[IO[bytes]] = (
        gzip.open(path, "wb", 6) if path.suffix == ".gz" else path.open("wb")  # noqa: SIM115
    )
    with opened as file:
        for _ in range(rows):
            draw = random_.random()
            if draw < 0.005:
                file.write(random_.choice(BAD_ROWS) + b"\n")
                continue
            if draw > 0.01 or not line:
                line = _review(random_, phrases)
            file.write(line)


def _review(random_: random.Random, phrases: list[str]) -> bytes:
    asin = f"B{random_.randrange(112_590):09d}"
    count = min(1 + int(random_.expovariate(1 / 2.6)), 60)
    joint = random_.choices(["<br /><br />", ".  ", ". "], [0.2, 0.25, 0.55])[0]
    text = joint.join(random_.choices(phrases, k=count))
    if random_.random() < 0.02:
        text += " &#34;so good&#34; \U0001f600"
    row = {
        "rating": float(random_.randint(1, 5)),
        "title": " ".join(random_.choices(WORDS, k=4)),
        "text": text,
        "images": [],
        "asin": asin,
        "parent_asin": asin,
        "user_id": f"A{random_.randrange(632_000):027d}",
        "timestamp": random_.randrange(1_000_000_000_000, 1_690_000_000_000),
        "helpful_vote": 0,
        "verified_purchase": True,
    }
    return json.dumps(row).encode() + b"\n"


class PeakMemory:
    """Largest sum of the resident memory of this process and its children, in MB."""

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.1):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.megabytes = max(self.megabytes, total / 1e6)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reviews", type=int, default=701_528)
    parser.add_argument("--folder", type=Path, help="keep the file here for the next time")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--workers", type=int)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = told.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / f"reviews-{told.reviews}.jsonl{'.gz' if told.gzip else ''}"
        if not source.exists():
            write_reviews(source, told.reviews)
        target = Path(scratch) / "reviews.parquet"
        settings = CorpusSettings(workers=told.workers)
        with PeakMemory() as peak:
            start, cpu = time.perf_counter(), _cpu_seconds()
            intake = ingest_reviews(
                source, target, Path(scratch) / "refused.parquet", settings, NOW_MS
            )
            seconds, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
        print(f"file         {source.stat().st_size / 1e6:,.0f} MB, {intake.rows:,} rows")
        print(f"kept         {intake.kept:,}, duplicates {intake.duplicates:,}")
        print(f"refused      {intake.refused}")
        print(f"time         {seconds:.2f} s, {intake.rows / seconds:,.0f} rows/s")
        print(f"CPU          {cpu:.2f} s of {psutil.cpu_count()} cores")
        print(f"peak memory  {peak.megabytes:,.0f} MB, all processes")
        print(f"content      {content_hash(target)}")


if __name__ == "__main__":
    main()
