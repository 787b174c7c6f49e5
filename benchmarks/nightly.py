"""What a night costs: 1% new reviews against a full run, in rows read and embedded and in seconds.

    python benchmarks/nightly.py --reviews R.jsonl.gz --items M.jsonl.gz [--share 0.01]

Without files: the synthetic sample. The newest reviews are held back, the rest is read and embedded
(the encoder untuned: it is not what is measured), then the held-back ones arrive and the
graph is refreshed with ``--train never``.
"""

import argparse
import contextlib
import gzip
import io
import json
import tempfile
from pathlib import Path

import dagster as dg

from beauty_rec.cli import app
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.sample import write_sample
from beauty_rec.settings import SPLITS, SampleSettings

MEASURED = (
    *(("keywords", split) for split in SPLITS),
    ("base_embeddings", None),
    ("item_embeddings", None),
    ("item_vectors", None),
)
QUICK = ("fine_tune.epochs=0",)
SELECT = "*item_embeddings,*item_vectors"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--share", type=float, default=0.01)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), told.reviews, told.items, told.share)


def measure(folder: Path, reviews: Path | None, items: Path | None, share: float) -> None:
    """Build in ``folder`` and print what both runs cost."""
    if reviews is None:
        sample = write_sample(folder, SampleSettings(reviews=20_000, items=6_000))
        reviews, items = sample.reviews, sample.items
    rows = gzip.decompress(reviews.read_bytes()).splitlines()
    rows = sorted(filter(is_dated, rows), key=lambda row: json.loads(row)["timestamp"])
    given = folder / "given.jsonl.gz"
    inputs = ["--reviews", given, *(["--items", items] if items else [])]
    data = folder / "data"
    given.write_bytes(gzip.compress(b"\n".join(rows[: round(len(rows) * (1 - share))]), 1))
    whole = run(data, *inputs, *(part for pair in QUICK for part in ("--set", pair)))
    given.write_bytes(gzip.compress(b"\n".join(rows), 1))
    night = run(data, "--train", "never")
    print(f"{len(rows):,} reviews, {share:.1%} of them new\n")
    print("| step | rows, full | rows, night | s, full | s, night |\n|---|--:|--:|--:|--:|")
    for step in [*whole, "all"]:
        first, then = (total(x) if step == "all" else x[step] for x in (whole, night))
        print(f"| {step} | {first[0]:,} | {then[0]:,} | {first[1]:.1f} | {then[1]:.1f} |")
    first, then = total(whole), total(night)
    print(f"\nrows: {then[0] / first[0]:.1%}, seconds: {then[1] / first[1]:.1%} of a full run")


def is_dated(row: bytes) -> bool:
    """Tell whether a line is a review that can be put in order."""
    try:
        return isinstance(json.loads(row).get("timestamp"), int)
    except ValueError:
        return False


def run(data: Path, *arguments: object) -> dict[str, tuple[int, float]]:
    """Run the graph and return rows computed and seconds of each measured step."""
    from typer.testing import CliRunner

    done = CliRunner().invoke(
        app, ["run", "--select", SELECT, *map(str, arguments), "--data-dir", str(data)]
    )
    assert done.exit_code == 0, done.output
    found = {}
    with open_instance(data) as instance, contextlib.redirect_stdout(io.StringIO()):
        for asset, split in MEASURED:
            facts = latest_metadata(instance, dg.AssetKey(asset), split)
            name = asset + (f"[{split}]" if split else "")
            built = name in {
                line.split()[1] for line in done.output.splitlines() if "built" in line
            }
            found[name] = (facts["rows_computed"], facts["seconds"]) if built else (0, 0.0)
    return found


def total(steps: dict[str, tuple[int, float]]) -> tuple[int, float]:
    """Return the sums."""
    return sum(rows for rows, _ in steps.values()), sum(seconds for _, seconds in steps.values())


if __name__ == "__main__":
    main()
