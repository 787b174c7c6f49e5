"""Seconds and memory of every stage at several sizes, and how both grow.

    python benchmarks/stages.py [--folder DIR] [--sizes 0.01,0.1] [--stages SELECTION] [--force]
                                [--set NAME=VALUE ...] [--page FILE.md] [--cpu]

A size is a share of All_Beauty (701,528 reviews of 112,590 items); ``--shop 10000000x500000`` adds
sizes of one's own. For each, a synthetic sample is written to ``DIR/SIZE`` (``build/stages``
unless named), and the stages run on it in the order of the graph, every stage and split in a
process of its own (``beauty-rec run``): so a peak is that of the stage alone. A stage that is fresh
is not run again, but its figures are shown: stages can be measured bit by bit, and only the first
call needs ``--set``.

``--stages`` takes Dagster's selection syntax: ``*merged_items`` is it and all that it needs,
``item_tower,item_vectors`` these two (what they read must have been built). ``--table`` measures
nothing and shows what is there.

Written to ``DIR``: ``stages.json`` (seconds, peak, rows and content hash of each), ``stages.md``
and ``stages.png``. The exponent is the slope of log seconds over log reviews, fitted by least
squares to all sizes whose stage took ``FEWEST_SECONDS`` or more: 1 is linear. ``last`` is the same
between the two largest sizes.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.artifacts import hash_of_files, write_text_atomic
from beauty_rec.evaluation.plots.canvas import new_figure, styled, to_png
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.refresh.refresh import Step, plan
from beauty_rec.orchestration.storage.contents import CONTENT
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.sample import has_sample, write_sample
from beauty_rec.settings import SampleSettings, Settings

REVIEWS, ITEMS = 701_528, 112_590  # of All_Beauty
FEWEST_SECONDS = 0.5
"""A shorter stage is mostly what it takes to start one."""
NAMED = 14
"""Stages of the picture that have a colour."""


@dataclass(frozen=True)
class Size:
    """A shop's size."""

    reviews: int
    items: int

    def __str__(self) -> str:
        return f"{self.reviews}x{self.items}"


@dataclass(frozen=True)
class Figure:
    """What one stage (and split) cost at one size; memory is that of its process, in MB."""

    stage: str
    reviews: int
    items: int
    seconds: float
    peak_mb: float
    rows: int | None
    content: str


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/stages"))
    parser.add_argument("--sizes", default="0.01,0.1", help="shares of All_Beauty")
    parser.add_argument("--shop", action="append", default=[], metavar="REVIEWSxITEMS")
    parser.add_argument("--stages", help="Dagster's selection syntax; all when left out")
    parser.add_argument("--force", action="store_true", help="measure fresh stages again")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--page", type=Path, help="write the table there too")
    parser.add_argument(
        "--cpu", action="store_true", help="seconds of the processor: on a machine that is not idle"
    )
    given = parser.parse_args()
    shares = [float(share) for share in given.sizes.split(",") if share]
    sizes = [Size(round(REVIEWS * share), round(ITEMS * share)) for share in shares]
    sizes += [Size(*map(int, shop.split("x"))) for shop in given.shop]
    for size in () if given.table else sizes:
        measure(given.folder / str(size), size, given)
    clock = "processor_seconds" if given.cpu else "seconds"
    figures = [f for size in folders(given.folder) for f in read(given.folder, size, clock)]
    table = markdown(figures)
    document = json.dumps([asdict(figure) for figure in figures], indent=1)
    write_text_atomic(given.folder / "stages.json", document + "\n")
    write_text_atomic(given.folder / "stages.md", table)
    (given.folder / "stages.png").write_bytes(plot(figures))
    if given.page:
        write_text_atomic(given.page, table)
    print(table)


def measure(folder: Path, size: Size, given: argparse.Namespace) -> None:
    """Run the stages of one size, each in a process of its own.

    Raises:
        SystemExit: a stage failed.
    """
    sample = SampleSettings(reviews=size.reviews, items=size.items, seed=given.seed)
    if not has_sample(folder / "given", sample):
        print(f"{size}: writing the sample", flush=True)
        write_sample(folder / "given", sample)
    inputs: list[str] = []
    for name, file in (("reviews", "reviews"), ("items", "meta"), ("profiles", "profiles")):
        inputs += [f"--{name}", str(folder / "given" / f"{file}.jsonl.gz")]
    for step in steps_of(folder, given.stages):
        name = step.key.to_user_string()
        command = [sys.executable, "-m", "beauty_rec.cli", "run", "--select", name, *inputs]
        command += ["--data-dir", str(folder / "data"), *(["--force"] if given.force else [])]
        command += ["--partition", step.partition] if step.partition else []
        command += [part for pair in given.set for part in ("--set", pair)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{size} {step}: {done.stdout}{done.stderr[-2000:]}")
        print(f"{size} {done.stdout.splitlines()[0]}", flush=True)


def steps_of(folder: Path, select: str | None = None) -> list[Step]:
    """Return the steps of a selection in the order of the graph."""
    return plan(build_definitions(Settings(data_dir=(folder / "data").absolute())), select)


def folders(folder: Path) -> list[Size]:
    """Return the sizes that were measured, the smallest first."""
    found = (path.name.split("x") for path in folder.glob("*x*") if (path / "data").is_dir())
    return sorted((Size(*map(int, pair)) for pair in found), key=lambda size: size.reviews)


def read(folder: Path, size: Size, clock: str = "seconds") -> list[Figure]:
    """Return the figures of the last run of every stage that was built, in the graph's order."""
    found = []
    with open_instance(folder / str(size) / "data") as instance:
        for step in steps_of(folder / str(size)):
            facts = latest_metadata(instance, step.key, step.partition)
            if clock in facts:
                found.append(_figure(step, size, facts, clock))
    return found


def _figure(step: Step, size: Size, facts: dict[str, Any], clock: str) -> Figure:
    return Figure(
        str(step),
        size.reviews,
        size.items,
        facts[clock],
        facts["peak_memory_mb"],
        facts.get("dagster/row_count"),
        hash_of_files(facts[CONTENT])[:12] if CONTENT in facts else "",
    )


def exponent(figures: Sequence[Figure]) -> float | None:
    """Return the slope of log seconds over log reviews; None with less than two sizes.

    >>> kinds = dict(items=1, peak_mb=1, rows=1, content="")
    >>> exponent([Figure("a", n, seconds=n / 50, **kinds) for n in (100, 1_000)])
    1.0
    """
    points = [
        (math.log(figure.reviews), math.log(figure.seconds))
        for figure in figures
        if figure.seconds >= FEWEST_SECONDS
    ]
    if len(points) < 2:
        return None
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    rise = sum((a - x) * (b - y) for a, b in points)
    spread = sum((a - x) ** 2 for a, _ in points)
    return float(round(rise / spread, 3))


def by_stage(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """Return the figures of each stage, the smallest size first."""
    found: dict[str, list[Figure]] = {}
    for figure in sorted(figures, key=lambda figure: figure.reviews):
        found.setdefault(figure.stage, []).append(figure)
    order = list(dict.fromkeys(figure.stage for figure in figures))
    return {stage: found[stage] for stage in order}


def markdown(figures: Sequence[Figure]) -> str:
    """Return a table: one row a stage, seconds and peak of each size, and the exponents."""
    sizes = sorted({(figure.reviews, figure.items) for figure in figures})
    heads = [f"{reviews:,} × {items:,}" for reviews, items in sizes]
    lines = [
        "| stage | " + " | ".join(f"{head}: s | MB" for head in heads) + " | exponent | last |",
        "|---|" + "--:|" * (2 * len(sizes) + 2),
    ]
    for stage, own in by_stage(figures).items():
        of_size = {(figure.reviews, figure.items): figure for figure in own}
        cells = []
        for size in sizes:
            known = of_size.get(size)
            cells += [f"{known.seconds:,.1f}", f"{known.peak_mb:,.0f}"] if known else ["", ""]
        fitted, last = exponent(own), exponent(own[-2:])
        cells += ["" if slope is None else f"{slope:.2f}" for slope in (fitted, last)]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@styled
def plot(figures: Sequence[Figure]) -> bytes:
    """Return a picture of seconds and of memory over reviews, a line a stage.

    The longest stages have a colour and a name, the others are grey.
    """
    stages = by_stage(figures)
    longest = sorted(stages, key=lambda stage: -stages[stage][-1].seconds)[:NAMED]
    figure, (time, memory) = new_figure(2, "Time and memory of each stage", "", width=7, height=6)
    others = [stage for stage in stages if stage not in longest]
    for stage, own in stages.items():
        look: dict[str, Any] = {"color": "0.8", "linewidth": 0.8, "zorder": 0}
        name = "others" if stage in others[:1] else None
        if stage in longest:
            place = longest.index(stage)
            look = {"color": f"C{place % 10}", "marker": "os"[place // 10], "markersize": 4}
            slope = exponent(own)
            name = stage if slope is None else f"{stage} ({slope:.2f})"
        reviews = [found.reviews for found in own]
        time.plot(reviews, [max(0.01, found.seconds) for found in own], label=name, **look)
        memory.plot(reviews, [found.peak_mb for found in own], **look)
    for axes, label in ((time, "seconds"), (memory, "peak of the process, MB")):
        axes.set(xscale="log", yscale="log", xlabel="reviews", ylabel=label)
    lines, names = time.get_legend_handles_labels()
    title = "stage (exponent of its seconds)"
    figure.legend(lines, names, loc="outside right upper", title=title, fontsize=8)
    return to_png(figure)


if __name__ == "__main__":
    main()
