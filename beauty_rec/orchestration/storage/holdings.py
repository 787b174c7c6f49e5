"""What a data folder holds of what its records say: files, indexes, tables, the published set.

An asset of which something is missing or damaged is stale; see :mod:`..refresh.staleness`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from beauty_rec.orchestration.storage.contents import (
    CONTENT,
    SIDE_CONTENT,
    facts_of,
    fault_of,
    materialization,
)
from beauty_rec.orchestration.storage.indexes import ItemIndexResource, TextIndexResource
from beauty_rec.orchestration.storage.io_managers import LAYOUTS, path_in_store
from beauty_rec.orchestration.storage.remote import TAR, is_local
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings
from beauty_rec.verified import Verified


@dataclass(frozen=True)
class Fault:
    """What is missing or damaged of an asset; ``record``: the number of its materialization."""

    reason: str
    record: int


@dataclass(frozen=True, eq=False)
class Holdings:
    """The artifacts and indexes of a code location.

    Attributes:
        settings: of the code location.
        resources: of the code location, by the key that assets name.
    """

    settings: Settings
    resources: Mapping[str, Any]

    @classmethod
    def of(cls, definitions: dg.Definitions) -> "Holdings | None":
        """Return the holdings of ``definitions``; None for a graph that stores nothing here."""
        resources = definitions.resources or {}
        settings = resources.get("settings")
        if not isinstance(settings, Settings) or "store" not in resources:
            return None
        return cls(settings, resources)

    def fault(
        self,
        instance: dg.DagsterInstance,
        key: dg.AssetKey,
        metadata: Mapping[str, Any],
        partition: str | None,
    ) -> Fault | None:
        """Return what is missing or damaged of an asset (and split) that was built, or None.

        Args:
            instance: where the records are.
            key: of the asset.
            metadata: of its definition.
            partition: its split.
        """
        layout = metadata.get("beauty_rec/io")
        if layout not in LAYOUTS:
            return None
        name = key.to_user_string()
        record = materialization(instance, key, partition)
        reason = self._of_files(path_in_store(layout, name, partition), facts_of(record))
        if reason is None and name in _INDEXES:
            reason = _INDEXES[name](self)
        return None if reason is None else Fault(reason, 0 if record is None else record.storage_id)

    @cached_property
    def _verified(self) -> Verified:
        return Verified.below(self.settings.data_dir)

    @property
    def _store(self) -> ArtifactStore:
        store: ArtifactStore = self.resources["store"]
        return store

    def _of_files(self, relative: str, facts: Mapping[str, Any]) -> str | None:
        wanted = {relative: facts.get(CONTENT), **facts.get(SIDE_CONTENT, {})}
        for name, content in wanted.items():
            path = self._store.root / name
            if is_local(path):
                if (found := fault_of(Path(path.path), content, self._verified)) is not None:
                    return found
            # Of a remote one the content is looked at when it is read.
            elif not path.fs.exists(path.path) and not path.fs.exists(path.path + TAR):
                return f"{path} is missing"
        return None

    def _document(self, relative: str) -> dict[str, Any]:
        path = self._store.get(relative)
        found: dict[str, Any] = {} if path is None else json.loads(path.read_text("utf-8"))
        return found

    def _of_text_index(self) -> str | None:
        index = self.resources.get("chroma")
        if not isinstance(index, TextIndexResource):
            return None
        return index.fault(self._document("processed/text_index.json")["version"], self._verified)

    def _of_item_index(self) -> str | None:
        index = self.resources.get("pgvector")
        if not isinstance(index, ItemIndexResource):
            return None
        folder = self._store.get("processed/item_index")
        if folder is None:
            return None
        version = json.loads((folder / "index.json").read_text("utf-8"))["version"]
        return index.fault(version, self.settings.item_index, self._verified)

    def _of_published_set(self) -> str | None:
        from beauty_rec.serving.published.manifest import fault

        published = self._document("processed/serving_manifest.json")
        return fault(self.settings.data_dir / "serving", published, self._verified)


_INDEXES = {
    "text_index": Holdings._of_text_index,
    "item_index": Holdings._of_item_index,
    "serving_manifest": Holdings._of_published_set,
}
"""What stands beside the artifact of an asset."""
