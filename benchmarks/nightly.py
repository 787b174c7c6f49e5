"""What a night costs: the whole graph with 1% new reviews against its full build, training apart.

    python benchmarks/nightly.py --reviews R.jsonl.gz --items M.jsonl.gz [--share 0.01]

Without files: the synthetic sample. The newest reviews are held back, the graph is built of the
rest, then the held-back ones arrive and it is refreshed as the job ``nightly_reindex`` does it,
``--train never --measure never`` (``--measured``: with ``--measure stale``), both by ``beauty-rec
run`` in a process of its own. Seconds are those of the command's lines: a step with
its checks and the writing, or the look at one that is fresh. Steps that train, or make what a
training alone reads, are left out of both sums; fine-tuning is switched off, so the vectors
are those of the untuned encoder, which take as long. ``--set`` gives the build further settings;
``--cpu`` takes the seconds of the processor, of what was built alone, where others share the cores.
``--folder`` keeps what was built: a second call goes on where the first was stopped.

The table of the steps has the dearest of the night first: its last column sums up to the share of
the full build's seconds that stands in the last line. What is there at a tenth of its own full
build or more does not follow what is new, but the shop.
"""

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.orchestration.refresh.kept import TRAININGS
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.sample import write_sample
from beauty_rec.settings import SampleSettings

READ = ("keywords",)
EMBEDDED = ("base_embeddings", "item_embeddings", "item_vectors")
UNTUNED = "fine_tune.epochs=0"
FULL = "full.json"
AIM = 0.05
LINE = re.compile(r"^(built|fresh|failed) +(\S+) +([\d.]+) s", re.M)
TOTAL = re.compile(r"^\d+ built, .* in ([\d.]+) s$", re.M)


@dataclass(frozen=True)
class Run:
    """What a run of the graph took.

    Attributes:
        seconds: by step, in the order of the graph.
        rows: that were computed, by step; 0 where it was fresh.
        whole: seconds of the command's refresh, trainings included.
    """

    seconds: dict[str, float]
    rows: dict[str, int]
    whole: float

    @property
    def outside(self) -> float:
        """Seconds outside training."""
        return sum(seconds for step, seconds in self.seconds.items() if not trains(step))


def trains(step: str) -> bool:
    """Tell whether a step trains, or makes what a training alone reads.

    >>> trains("text_retriever"), trains("keywords[train]")
    (True, False)
    """
    return step.partition("[")[0] in TRAININGS


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cpu", action="store_true", help="seconds of the processor")
    parser.add_argument("--measured", action="store_true", help="the night measures anew, too")
    parser.add_argument("--folder", type=Path, help="where what is built is kept")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beauty-rec-night-") as scratch:
        folder = Path(scratch) if told.folder is None else told.folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own where this one is root
        inputs: list[object] = ["--reviews", given(folder)]
        reviews, items = told.reviews, told.items
        if reviews is None:
            sample = write_sample(folder / "sample", SampleSettings(reviews=10_000, items=1_600))
            reviews, items = sample.reviews, sample.items
            inputs += ["--profiles", sample.profiles]
        inputs += ["--items", items] if items else []
        settings = [part for pair in (UNTUNED, *told.set) for part in ("--set", pair)]
        rows = dated(gzip.decompress(reviews.read_bytes()).splitlines())
        new = round(len(rows) * told.share)
        full = kept(folder / FULL)
        if full is None:
            write(given(folder), rows[: len(rows) - new])
            full = run(folder / "data", told.cpu, *inputs, *settings)
            write_text_atomic(folder / FULL, json.dumps(asdict(full), indent=1) + "\n")
        write(given(folder), rows)
        measure = "stale" if told.measured else "never"
        night = run(folder / "data", told.cpu, "--train", "never", "--measure", measure)
    print(f"{len(rows):,} reviews, {new:,} of them new\n")
    print("\n".join(tables(full, night)))


def kept(path: Path) -> Run | None:
    """Return what the full build took, where it was made before."""
    return Run(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def given(folder: Path) -> Path:
    """Return the file of reviews, which grows."""
    return folder / "given.jsonl.gz"


def write(path: Path, rows: Sequence[bytes]) -> None:
    """Write lines, compressed."""
    path.write_bytes(gzip.compress(b"\n".join(rows), 1))


def dated(rows: Sequence[bytes]) -> list[bytes]:
    """Return the lines that are reviews of some moment, the oldest first."""
    moments = []
    for row in rows:
        try:
            at = json.loads(row).get("timestamp")
        except ValueError:
            continue
        if isinstance(at, int):
            moments.append((at, row))
    return [row for _, row in sorted(moments, key=lambda pair: pair[0])]


def run(data: Path, cpu: bool, *arguments: object) -> Run:
    """Run the graph in a process of its own; ``cpu``: see the module.

    Raises:
        SystemExit: a step failed.
    """
    command = [sys.executable, "-m", "beauty_rec.cli", "run", *map(str, arguments)]
    done = subprocess.run(
        [*command, "--data-dir", str(data)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr[-2000:]}")
    statuses, seconds, whole = read(done.stdout)
    rows = {}
    with open_instance(data) as instance:
        for step, status in statuses.items():
            asset, _, split = step.rstrip("]").partition("[")
            built = status == "built"
            facts = latest_metadata(instance, dg.AssetKey(asset), split or None) if built else {}
            if cpu:
                seconds[step] = facts.get("processor_seconds", 0.0)
            if asset in (*READ, *EMBEDDED):
                rows[step] = facts.get("rows_computed", 0)
    return Run(seconds, rows, sum(seconds.values()) if cpu else whole)


def read(said: str) -> tuple[dict[str, str], dict[str, float], float]:
    """Return each step's status and seconds, and those of the whole, from what a run says."""
    lines = LINE.findall(said)
    found = TOTAL.search(said)
    assert found is not None, said
    statuses = {step: status for status, step, _ in lines}
    return statuses, {step: float(seconds) for _, step, seconds in lines}, float(found[1])


def tables(full: Run, night: Run) -> Iterator[str]:
    """Yield the lines of both tables and of the sentence below them."""
    yield "| rows computed | full | night | share |\n|---|--:|--:|--:|"
    for name, steps in (("reviews read", READ), ("texts embedded", EMBEDDED)):
        first, then = (
            sum(count for step, count in part.rows.items() if step.partition("[")[0] in steps)
            for part in (full, night)
        )
        yield f"| {name} | {first:,} | {then:,} | {then / max(1, first):.1%} |"
    yield "\n| step | s, full | s, night | of its own | of all outside training |"
    yield "|---|--:|--:|--:|--:|"
    outside = {step: seconds for step, seconds in night.seconds.items() if not trains(step)}
    for step, seconds in sorted(outside.items(), key=lambda pair: -pair[1]):
        own = full.seconds[step]
        share = f"{seconds / own:.0%}" if own else ""
        yield f"| {step} | {own:.1f} | {seconds:.1f} | {share} | {seconds / full.outside:.2%} |"
    ratio = night.outside / full.outside
    yield f"| **all** | {full.outside:.1f} | {night.outside:.1f} | | **{ratio:.1%}** |"
    verdict = "met" if ratio <= AIM else "missed"
    yield (
        f"\nOutside training the night takes {ratio:.1%} of the full build's seconds (aim: at most "
        f"{AIM:.0%}, {verdict}); with what it trains the full build took {full.whole:.0f} s, the "
        f"night {night.whole:.0f} s."
    )


if __name__ == "__main__":
    main()
