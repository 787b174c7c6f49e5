"""A new version of a ChromaDB index from the one before: a copy, changed where they differ.

The copy spares building the graph anew, which is most of the work. Each version keeps a digest of
every entry's vector; what has another digest, is new or is gone is deleted, added or both. To move
a node, as an upsert does, takes several times as long as to link a new one, since its neighbours
are linked anew as well. The served version itself is never written to.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from beauty_rec.artifacts import Vectors
from beauty_rec.settings import TextIndexSettings

ENTRIES = "entries.json"
LARGEST_CHANGE = 0.2
"""Share of the entries changed since the graph was built whole; beyond it, it is built anew."""


@dataclass(frozen=True)
class Entries:
    """What a version holds.

    Attributes:
        settings: it was built with.
        digests: of each entry's vector, by id.
        changed: entries changed, added or deleted since the graph was built as a whole.
    """

    settings: dict[str, Any]
    digests: dict[str, str]
    changed: int = 0

    @classmethod
    def of(cls, vectors: Vectors, rows: Sequence[int], settings: TextIndexSettings) -> "Entries":
        """Return the entries of the ``rows`` of ``vectors``."""
        digests = {
            vectors.ids[row]: hashlib.blake2b(
                np.ascontiguousarray(vectors.matrix[row]).tobytes(), digest_size=12
            ).hexdigest()
            for row in rows
        }
        return cls(settings.model_dump(mode="json"), digests)

    def save(self, folder: Path) -> None:
        """Write them into a version's folder."""
        (folder / ENTRIES).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Entries | None":
        """Read them; None where there are none."""
        path = folder / ENTRIES
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


@dataclass(frozen=True)
class Difference:
    """Ids to delete, rows to add then, and the entries afterwards."""

    deletes: list[str]
    adds: list[int]
    entries: Entries


def difference(old: Entries, wanted: Entries, rows: Sequence[int]) -> Difference | None:
    """Return how to get from ``old`` to ``wanted``; None when building anew is the better way.

    Args:
        old: of the version before.
        wanted: of the new version.
        rows: of the new version's entries, in their order.
    """
    if old.settings != wanted.settings or not old.digests:
        return None
    adds = [
        row
        for row, (name, digest) in zip(rows, wanted.digests.items(), strict=True)
        if old.digests.get(name) != digest
    ]
    deletes = [name for name, digest in old.digests.items() if wanted.digests.get(name) != digest]
    gone = sum(name not in wanted.digests for name in deletes)
    changed = old.changed + len(adds) + gone
    if changed > LARGEST_CHANGE * len(old.digests):
        return None
    return Difference(deletes, adds, Entries(wanted.settings, wanted.digests, changed))


def copy_version(served: Path, folder: Path) -> None:
    """Copy a version's files; nobody writes to a served one."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(served, folder)
