"""`make clean` takes what a run makes again, and nothing that no run brings back."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE_AGAIN = {
    "processed/keywords/train.parquet", "models/user_tower/served.safetensors",
    "chromadb/current.json", "postgres/cluster/PG_VERSION", "cache/verified.json",
    "evaluation/report.json", "dagster/history/runs.db", "raw/sample/reviews.jsonl.gz",
    ".drafts/item_table", ".fetched/3f2a/keywords.parquet", ".shop-x/rows.parquet",
}  # fmt: skip
IRREPLACEABLE = {
    "store/cluster/PG_VERSION", "shop.id", "serving/manifest.json", "serving/release.json",
    "serving/experiment.toml", "language/answers.sqlite", "settings.json", "forgotten.json",
    "raw/mine.jsonl.gz", "raw/shop/forgotten.json", "dagster/dagster.yaml", "README.md",
    "shop/processed/keywords/train.parquet", "shop/settings.json",
}  # fmt: skip


def test_clean_keeps_what_no_run_brings_back(tmp_path: Path) -> None:
    for name in MADE_AGAIN | IRREPLACEABLE:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    for _ in range(2):  # the second time there is nothing left to delete
        clean = ["make", "-s", "-f", str(ROOT / "Makefile"), "clean"]
        subprocess.run(clean, cwd=tmp_path, check=True, capture_output=True)
        left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert {str(path.relative_to(tmp_path / "data")) for path in left} == IRREPLACEABLE
