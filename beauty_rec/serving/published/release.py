"""What is served to everybody: the newest set, unless a promotion or a rollback says otherwise.

``release.json`` stands beside the pipeline's ``manifest.json``, which it never changes: no asset
becomes stale by it.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.recommender.online.experiments.file import AnswerSettings, remedy
from beauty_rec.recommender.online.sets.manifest import Manifest, ManifestError
from beauty_rec.recommender.online.values import Model
from beauty_rec.serving.published.kept import RELEASE
from beauty_rec.serving.published.manifest import known_sets, read_manifest

LOG = logging.getLogger("beauty_rec.serving")
LATEST = "latest"
PLAIN = AnswerSettings()


class UnknownSet(ValueError):
    """No published set of this name is kept; the message lists those that are."""


class Release(Model):
    """A promotion or a rollback.

    Attributes:
        set: that is served; None: the newest.
        newest: the newest one at that time: once there is another, it is served.
        renamed: what the newest one is called once it is published anew without forgotten users.
        pinned: the set stays, whatever is published.
        settings: of the answers, over those of the server.
        kind: what was done, and ``why`` in words.
        since: when, ISO 8601 in UTC.
        before: the set and the settings that were served before.
    """

    set: str | None
    newest: str
    renamed: str | None = None
    pinned: bool = False
    settings: AnswerSettings = PLAIN
    kind: Literal["promoted", "rolled back", "latest"]
    why: str
    since: str
    before: str
    before_settings: AnswerSettings = PLAIN

    def holds(self, newest: str) -> bool:
        """Whether its set is served while this one is the newest."""
        return self.set is not None and (self.pinned or newest in (self.newest, self.renamed))


@dataclass(frozen=True)
class Served:
    """What is served; ``release`` says why, None: it is the newest set and nothing was decided."""

    manifest: Manifest
    settings: AnswerSettings
    release: Release | None

    @property
    def why(self) -> str:
        """Say in words why this set is served."""
        held = self.release is not None and self.release.set == self.manifest.set
        return self.release.why if self.release is not None and held else "the newest set"


def served(root: Path) -> Served:
    """Return what is served below ``root``.

    A held set that is no longer there is not: the newest one is served.

    Raises:
        FileNotFoundError, ManifestError: as of :func:`.manifest.read_manifest`.
    """
    newest, release = read_manifest(root), read_release(root)
    if release is None:
        return Served(newest, PLAIN, None)
    manifest = newest
    if release.set is not None and release.set != newest.set and release.holds(newest.set):
        try:
            manifest = manifest_of(root, release.set)
        except UnknownSet as error:
            LOG.error("release", extra={"event": "release_not_served", "error": str(error)})
    return Served(manifest, release.settings, release)


def read_release(root: Path) -> Release | None:
    """Return the last promotion or rollback; None where there was none.

    Raises:
        ManifestError: the file is not one of them.
    """
    path = root / RELEASE
    try:
        return Release.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ManifestError(
            f"{path} is no release ({error.error_count()} faults); "
            "delete it, or run: beauty-rec rollback latest"
        ) from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); move it away") from error


def manifest_of(root: Path, name: str) -> Manifest:
    """Return the manifest of a set that is kept.

    Raises:
        UnknownSet: there is none of this name.
    """
    known = known_sets(root)
    for manifest in known:
        if manifest.set == name:
            return manifest
    raise UnknownSet(f"no published set {name!r}{remedy(name, (m.set for m in known))}")


def promote(root: Path, name: str | None, settings: AnswerSettings, why: str) -> Release:
    """Serve a set (None: the one that is served) with these settings from now on.

    Doing it again changes nothing: what was served before is still gone back to.

    Raises:
        UnknownSet: there is no such set.
    """
    now = served(root)
    wanted = now.manifest if name is None else manifest_of(root, name)
    done = now.release
    if (
        done is not None
        and (done.kind, done.set, done.settings, done.why)
        == ("promoted", wanted.set, settings, why)
        and done.holds(read_manifest(root).set)
    ):
        return done
    return _write(root, wanted.set, settings, "promoted", why, pinned=_pinned(now, name))


def rollback(root: Path, name: str | None = None, *, pin: bool = False) -> Release:
    """Serve what was served before, or the set ``name``; ``latest``: the newest, as it is.

    With ``pin`` the set stays whatever is published, the newest of now too.

    Doing it again goes further back, never forth.

    Raises:
        UnknownSet: there is no such set, or none from before.
    """
    if name == LATEST:
        newest = read_manifest(root).set
        why = f"rolled back to the newest, {newest}"
        return _write(root, newest if pin else None, PLAIN, "latest", why, pinned=pin)
    now = served(root)
    release, settings = now.release, now.settings
    if name is not None:
        wanted = manifest_of(root, name)
    elif release is not None and release.set not in (None, now.manifest.set):
        wanted = manifest_of(root, str(release.set))  # a newer set took its place
    elif release is not None and release.kind == "promoted":
        wanted, settings = manifest_of(root, release.before), release.before_settings
    else:
        wanted = _published_before(root, now.manifest)
    return _write(
        root, wanted.set, settings, "rolled back", f"rolled back to {wanted.set}", pinned=pin
    )


def announce_rename(root: Path, name: str, new: str) -> None:
    """Have the release hold whether the newest set is ``name`` or ``new``, which replaces it.

    One that cannot be read holds nothing.
    """
    with suppress(ManifestError):
        release = read_release(root)
        if release is not None and release.newest == name:
            text = release.model_copy(update={"renamed": new}).model_dump_json(indent=1)
            write_text_atomic(root / RELEASE, text + "\n")


def end_rename(root: Path) -> None:
    """Have the release speak of the newest set where it speaks of the one that this replaced."""
    with suppress(ManifestError):
        newest, release = read_manifest(root).set, read_release(root)
        if release is not None and release.renamed == newest:
            text = release.model_copy(update={"renamed": None}).model_dump_json(indent=1)
            write_text_atomic(root / RELEASE, text.replace(release.newest, newest) + "\n")


def _pinned(now: Served, name: str | None) -> bool:
    """Tell whether a promotion of settings alone leaves a pin as it is."""
    return name is None and now.release is not None and now.release.pinned


def _published_before(root: Path, current: Manifest) -> Manifest:
    known = known_sets(root)
    names = [manifest.set for manifest in known]
    later = names.index(current.set) + 1 if current.set in names else 0
    if later >= len(known):
        raise UnknownSet(
            f"no set from before {current.set} is kept (serve.keep_sets says how many are); "
            f"known: {', '.join(names) or 'none'}"
        )
    return known[later]


def _write(
    root: Path,
    name: str | None,
    settings: AnswerSettings,
    kind: Literal["promoted", "rolled back", "latest"],
    why: str,
    *,
    pinned: bool = False,
) -> Release:
    try:
        before = served(root)
        was, were = before.manifest.set, before.settings
    except ManifestError:  # of a release that cannot be read, nothing is known
        was, were = read_manifest(root).set, PLAIN
    release = Release(
        set=name,
        newest=read_manifest(root).set,
        pinned=pinned,
        settings=settings,
        kind=kind,
        why=why,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        before=was,
        before_settings=were,
    )
    write_text_atomic(root / RELEASE, release.model_dump_json(indent=1) + "\n")
    return release
