"""An experiment at the size of All_Beauty: what it adds to an answer's time and to memory.

    python benchmarks/experiment.py [--items 112590 --events 701528] [--folder F]

Two sets with untrained models and drawn vectors are published (the real formats and the real
encoder); known users are asked for in one process, one at a time: without an experiment, with half
of them on the other set, with half on other settings, and without one again.
"""

import argparse
import gc
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.serving.published.kept import EXPERIMENT
from beauty_rec.serving.published.manifest import known_sets
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import PACKAGED_ENCODER, Settings
from beauty_rec_tests.recommender.synthetic_set import Size, load_encoder, publish_synthetic

SEEDS = (101, 201)
"""Their items have the same names."""
ASKED, WARM = 300, 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=112_590)
    parser.add_argument("--events", type=int, default=701_528)
    parser.add_argument("--users", type=int, default=631_986)
    parser.add_argument("--folder", type=Path, help="kept and used again; default: a new one")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="beauty-rec-bench-"))
    try:
        if not (folder / "serving" / "manifest.json").exists():
            encoder = load_encoder(PACKAGED_ENCODER)
            for seed in SEEDS:
                size = Size(given.items, given.events, given.users, seed)
                publish_synthetic(folder, size, encoder, encode=False)
        measure(Engine(Settings(data_dir=folder)))
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def measure(engine: Engine) -> None:
    file = engine.root / EXPERIMENT
    other = known_sets(engine.root)[1].set
    half = 'name = "{}"\n[variants.a]\nshare = 0.5\n[variants.b]\nshare = 0.5\n{}\n'
    print_row("no experiment", engine)
    for title, text in (
        ("another set", half.format("sets", f'set = "{other}"')),
        ("other settings", half.format("settings", 'order = "user_tower"')),
    ):
        file.write_text(text)
        engine.look_at_experiment()
        assert engine.experiments.refused is None, engine.experiments.refused
        print_row(title, engine)
    file.unlink()
    engine.look_at_experiment()
    print_row("none again", engine)


def print_row(title: str, engine: Engine) -> None:
    asks = [RecommendRequest(user_id=f"AUSER{number:020d}") for number in range(ASKED)]
    took = []
    for place, one in enumerate([*asks[:WARM], *asks]):
        began = time.perf_counter()
        engine.recommend([one])
        if place >= WARM:
            took.append(1_000 * (time.perf_counter() - began))
    gc.collect()
    own = psutil.Process().memory_full_info().uss / 2**20
    print(f"{title:<16} p50_ms {statistics.median(took):.1f}  own memory {own:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
