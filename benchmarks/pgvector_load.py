"""Loading vectors into pgvector, building HNSW, checking it, and searching.

    python benchmarks/pgvector_load.py [--items 112590] [--dimension 128] [--type halfvec]

Vectors are drawn around 300 centres, as item vectors lie. Two figures of time: load and index, and
the whole `build_index` with verification; then the latency of a search for 100, also with items
left out.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from beauty_rec.artifacts import Vectors
from beauty_rec.search.pgvector import build as pgvector_build
from beauty_rec.search.pgvector.index import PgVectorIndex, open_current
from beauty_rec.search.pgvector.server import postgres
from beauty_rec.settings import ItemIndexSettings


def make_items(count: int, dimension: int, seed: int = 13) -> Vectors:
    """Return unit vectors around centres."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((300, dimension))
    matrix = centres[random.integers(300, size=count)] + random.standard_normal((count, dimension))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    ids = [f"B{row:09d}" for row in range(count)]
    return Vectors(ids, matrix.astype(np.float32))


def search_ms(index: PgVectorIndex, queries: np.ndarray, seen: list[str]) -> str:
    """Return the median and the 95th percentile of single searches, and the fewest rows."""
    index.search(queries[:1], 100, exclude=[seen])
    times, rows = [], []
    for query in queries:
        start = time.perf_counter()
        rows.append(len(index.search(query[None], 100, exclude=[seen]).ids[0]))
        times.append((time.perf_counter() - start) * 1000)
    middle, tail = np.percentile(times, [50, 95])
    return f"{middle:.1f} ms, 95%: {tail:.1f} ms, at least {min(rows)} rows"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=112_590)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--type", choices=["vector", "halfvec"], default="vector")
    told = parser.parse_args()
    settings = ItemIndexSettings(type=told.type, grace_seconds=0)
    vectors = make_items(told.items, told.dimension)
    seconds = {}
    load = pgvector_build._load

    def timed_load(*arguments: object) -> None:
        start = time.perf_counter()
        load(*arguments)
        seconds["load"] = time.perf_counter() - start

    pgvector_build._load = timed_load
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, postgres(Path(folder)) as dsn:
        print(f"load before the start {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        start = time.perf_counter()
        built = pgvector_build.build_index(dsn, vectors, "one", settings)
        seconds["all"] = time.perf_counter() - start
        print(f"items                 {built.rows:,} x {built.dimension} {told.type}")
        print(f"copy and HNSW         {seconds['load']:.1f} s")
        print(f"with verification     {seconds['all']:.1f} s")
        print(f"recall@100            {built.recall_vs_exact:.4f}")
        queries = np.array(vectors.matrix[:: max(1, told.items // 100)][:100])
        with open_current(dsn, settings) as index:
            print(f"search                {search_ms(index, queries, [])}")
            print(f"50 left out           {search_ms(index, queries, vectors.ids[:50])}")


if __name__ == "__main__":
    main()
