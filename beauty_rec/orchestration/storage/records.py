"""Records of earlier runs: an asset's last metadata, and what each asset cost."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from beauty_rec.orchestration.refresh.lock import REFRESH_TAG
from beauty_rec.orchestration.stage.partitions import decode_parts
from beauty_rec.orchestration.storage.contents import facts_of, materialization
from beauty_rec.orchestration.storage.dagster_home import open_copy
from beauty_rec.orchestration.storage.io_managers import REPORT
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import SPLITS, Settings, Split, records_in_postgres

DATA_VERSION = "dagster/data_version"
INPUT_VERSION = "dagster/input_data_version/"
"""Tags of a materialization: its version, and, with the name of an input, that of the input."""
ASKED = ("user_candidates", "retrieval_candidates")
"""What asks the events of a split."""
_REVIEWS = "split_reviews"


def latest_metadata(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partition: str | None = None,
    back: int = 0,
) -> dict[str, Any]:
    """Return the metadata values of the last materialization, or of one that lies further ``back``.

    Empty if there is none.
    """
    return facts_of(materialization(instance, key, partition, back))


def events_version(instance: dg.DagsterInstance, split: str) -> str:
    """Return what stands for the events that a split has now; empty before there are any."""
    return _parts(materialization(instance, dg.AssetKey(_REVIEWS)), DATA_VERSION).get(split, "")


def days_asked(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the day (ISO 8601 in UTC) on which the events of each split were asked.

    Of what was not asked at once, the older.
    """
    found: dict[str, str] = {}
    for split in SPLITS:
        asked = [materialization(instance, dg.AssetKey(name), split) for name in ASKED]
        if moments := [record.timestamp for record in asked if record is not None]:
            found[split] = datetime.fromtimestamp(min(moments), UTC).date().isoformat()
    return found


def measured_before(instance: dg.DagsterInstance) -> Iterator[tuple[Split, datetime]]:
    """Yield the splits that have other events than were asked, and when these were asked.

    What is made of the answers later says nothing of when the events were asked.
    """
    used_tag = f"{INPUT_VERSION}{_REVIEWS}"
    for split in SPLITS:
        now = events_version(instance, split)
        asked = [materialization(instance, dg.AssetKey(name), split) for name in ASKED]
        before = [
            record.timestamp
            for record in asked
            if record is not None and _parts(record, used_tag).get(split, "") != now
        ]
        if before:
            yield split, datetime.fromtimestamp(min(before), UTC)


def _parts(record: dg.EventLogRecord | None, tag: str) -> dict[str, str]:
    """Return the parts of a version that the tag of a materialization holds."""
    if record is None or record.asset_materialization is None:
        return {}
    return decode_parts((record.asset_materialization.tags or {}).get(tag, ""))


def last_facts(data_dir: Path, asset: str, partition: str | None = None) -> dict[str, Any]:
    """Return :func:`latest_metadata` of an asset in a data folder; empty without one."""
    if not records_in_postgres() and not (data_dir / "dagster" / "dagster.yaml").exists():
        return {}
    with open_copy(data_dir) as instance:
        return latest_metadata(instance, dg.AssetKey(asset), partition)


def language_rate(data_dir: Path) -> float | None:
    """Return tokens a second of a data folder's last reading by a language model, or None."""
    rate = last_facts(data_dir, "keywords", "train").get("tokens_per_second")
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def report_file(settings: Settings) -> Path:
    """Return a local path of the last run's report, which need not be there.

    One that stands in a store elsewhere is fetched first.
    """
    folder = ArtifactStore.of(settings).get(REPORT)
    return (folder or settings.data_dir / REPORT) / "report.json"


def cost_table(context: dg.AssetExecutionContext) -> list[dict[str, Any]]:
    """Return one row an asset and split, oldest first: seconds, rows, peak memory, skipped.

    Skipped: the refresh that this step belongs to found it fresh. Outside a refresh, every asset
    that this run did not build counts as skipped.
    """
    instance = context.instance
    current = _batch(instance, context.run.run_id)
    found = []
    for key in instance.get_asset_keys():
        for split in sorted(instance.get_materialized_partitions(key)) or [None]:
            record = materialization(instance, key, split)
            if record is None or key == context.asset_key:
                continue
            values = facts_of(record)
            row = {
                "asset": key.to_user_string(),
                "split": split,
                "seconds": values.get("seconds"),
                "rows": values.get("dagster/row_count"),
                "peak_memory_mb": values.get("peak_memory_mb"),
                "skipped": _batch(instance, record.run_id) != current,
            }
            found.append((record.storage_id, row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _batch(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return what groups runs: the refresh they belong to, or the run itself."""
    run = instance.get_run_by_id(run_id)
    return run.tags.get(REFRESH_TAG, run_id) if run else run_id
