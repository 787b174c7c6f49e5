"""What the files of artifacts were when they were written, and whether they still are.

Each materialization records the hash of every file that it wrote, beside the artifact's data
version. An artifact is held against them whenever it is read, and when it is asked whether it is
stale; a file that the file system says nobody touched is not read for that again.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from beauty_rec.artifacts import file_hashes
from beauty_rec.verified import Verified

LOG = logging.getLogger("beauty_rec.storage")
CONTENT = "content"
"""Name of the metadata: file in the artifact (``""``: the artifact is one) → hash."""
SIDE_CONTENT = "side_content"
"""Name of the metadata: path of a side product in the store → the same."""
REMEDY = "run: beauty-rec run"
_OPENING, _CLOSING = "```json\n", "\n```"


class ArtifactDamagedError(RuntimeError):
    """An artifact is not what its asset wrote; the message names the file and the remedy."""


def materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None, back: int = 0
) -> dg.EventLogRecord | None:
    """Return the record of the last materialization, or of one that lies further ``back``."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=key, asset_partitions=None if partition is None else [partition]
        ),
        limit=back + 1,
    ).records
    return found[back] if len(found) > back else None


def facts_of(record: dg.EventLogRecord | None) -> dict[str, Any]:
    """Return the metadata of a materialization, hashes unfolded; {} without one."""
    if record is None or record.asset_materialization is None:
        return {}
    metadata = record.asset_materialization.metadata
    facts: dict[str, Any] = {name: value.value for name, value in metadata.items()}
    for name in (CONTENT, SIDE_CONTENT):
        if isinstance(text := facts.get(name), str):
            facts[name] = json.loads(text.removeprefix(_OPENING).removesuffix(_CLOSING))
    return facts


def recorded(content: Mapping[str, Any]) -> dg.MarkdownMetadataValue:
    """Return hashes as metadata that Dagster's pages fold up: a model has a dozen of them."""
    return dg.MetadataValue.md(_OPENING + json.dumps(content, indent=1) + _CLOSING)


def side_product(local: Path, relative: str) -> dict[str, Any]:
    """Return the metadata that records a file beside an artifact.

    Args:
        local: the file.
        relative: where it is in the store.
    """
    return {SIDE_CONTENT: recorded({relative: file_hashes(local)})}


def earlier(context: dg.AssetExecutionContext, path: Path | None) -> Path | None:
    """Return the running asset's own artifact of before; None if it is missing or damaged."""
    if path is None:
        return None
    facts = facts_of(materialization(context.instance, context.asset_key))
    fault = fault_of(path, facts.get(CONTENT), None)
    if fault is not None:
        LOG.warning("%s; it is not gone on from", fault)
    return path if fault is None else None


def fault_of(path: Path, wanted: Mapping[str, str] | None, verified: Verified | None) -> str | None:
    """Return which file of an artifact is missing or is not what was recorded, or None.

    Args:
        path: of the artifact.
        wanted: as recorded; None: nothing was, and any content will do.
        verified: what was read before; None: all is read.
    """
    if not path.exists():
        return f"{path} is missing"
    if wanted is None:
        return None
    try:
        found = (verified.file_hashes if verified else file_hashes)(path)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            what = "is missing" if name not in found else "is damaged"
            return f"{path / name} {what if name in wanted else 'is not part of it'}"
    return None
