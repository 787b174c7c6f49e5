"""What says of each published set what it holds, and which sets may not be swept."""

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.recommender.online.sets.manifest import Manifest

MANIFESTS = "manifests"
"""Folder with the manifest of every set that is kept, by its name."""
EXPERIMENT, RELEASE = "experiment.toml", "release.json"
"""Files, beside it, that name sets which are answered from."""
_NAME = re.compile(r"\b[0-9a-f]{16}\b")


def keep_manifest(root: Path, manifest: Manifest) -> None:
    """Write what a set says of itself, so that it can be served when it is not the newest."""
    text = manifest.model_dump_json(indent=1) + "\n"
    write_text_atomic(root / MANIFESTS / f"{manifest.set}.json", text)


def sweep_manifests(root: Path, sets: Collection[str]) -> None:
    """Delete what sets said of themselves that are no more."""
    for path in (root / MANIFESTS).glob("*.json"):
        if path.stem not in sets:
            path.unlink(missing_ok=True)


def in_use(root: Path) -> set[str]:
    """Return the names of sets that an experiment or a release speaks of.

    By their look, so that a file which is not valid at the moment protects its sets, too.
    """
    found: set[str] = set()
    for name in (EXPERIMENT, RELEASE):
        with suppress(OSError):
            found.update(_NAME.findall((root / name).read_text(encoding="utf-8", errors="replace")))
    return found
