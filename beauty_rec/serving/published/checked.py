"""When the newest set was last found to be up to date: where nothing is new, none is published."""

import json
from datetime import UTC, datetime
from pathlib import Path

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.recommender.online.sets.manifest import Manifest, ManifestError
from beauty_rec.serving.published.manifest import read_manifest

CHECKED = "checked.json"


def note_checked(root: Path) -> None:
    """Keep that the newest set is up to date now; nothing where there is none."""
    try:
        name = read_manifest(root).set
    except (FileNotFoundError, ManifestError):
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_text_atomic(root / CHECKED, json.dumps({"set": name, "at": now}) + "\n")


def up_to_date_at(root: Path, manifest: Manifest) -> float:
    """Return when a set was published, or last found to be up to date: seconds since 1970.

    Raises:
        ValueError: the manifest says no time.
    """
    published = datetime.fromisoformat(manifest.created_at).timestamp()
    try:
        found = json.loads((root / CHECKED).read_text(encoding="utf-8"))
        own = found["set"] == manifest.set
        checked = datetime.fromisoformat(found["at"]).timestamp() if own else published
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        checked = published
    return max(published, checked)
