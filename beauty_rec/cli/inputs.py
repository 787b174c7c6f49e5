"""What a command works on: its settings, and a folder with input files."""

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from beauty_rec.artifacts import existing
from beauty_rec.recommender.online.stock.filters import (
    ANYTHING,
    Filter,
    faults_of,
    read_filter,
)
from beauty_rec.recommender.online.values import Id
from beauty_rec.settings import (
    HOLDS_SECRET,
    Settings,
    is_secret_name,
    memory_of,
    read_remembered,
    redacted,
)

M = TypeVar("M", bound=BaseModel)


def load_settings(data_dir: Path | None, pairs: list[str] | None = None, **given: Any) -> Settings:
    """Return the settings of a command: what was given over what the data folder remembers.

    Raises:
        ValueError: a setting is unknown or out of bounds; the message names it.
    """
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name in ("reviews", "items", "profiles", "hidden_items"):
        if name in chosen:
            chosen[name] = chosen[name].expanduser().resolve()
    if data_dir is not None:
        chosen["data_dir"] = data_dir
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set {pair.partition(' ')[0]!r} is not NAME=VALUE")
        *groups, leaf = name.strip().split(".")
        target = chosen
        for group in groups:
            target = target.setdefault(group, {})
            if not isinstance(target, dict):
                raise ValueError(f"--set {name.strip()}: {group} is given as a whole, too")
        value = value.strip()
        is_json = value[:1] in ("[", "{") or value == "null"
        target[leaf] = _read(name.strip(), value) if is_json else value
    try:
        found = Settings(**chosen)
    except ValidationError as error:
        path = memory_of(chosen)
        kept = read_remembered(path.parent)
        raise ValueError(_faults("settings", error, chosen, kept, path)) from None
    if found.data_dir.exists() and not found.data_dir.is_dir():
        raise NotADirectoryError(f"{found.data_dir} is no folder; name another --data-dir")
    return found


def readable(text: str, what: str) -> str:
    """Return a text of the command line as it is.

    Raises:
        ValueError: its bytes are not those of the terminal's encoding.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{what} is not in UTF-8: {text!r}; see the terminal's encoding")
    return text


def given_id(text: str, what: str) -> str:
    """Return an id of the command line, read as every door reads one.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        return TypeAdapter[str](Id).validate_python(readable(text, what))
    except ValidationError as error:
        raise ValueError(f"{what}: {error.errors()[0]['msg']} (given: {text!r})") from None


def shop_pairs(shops: list[str]) -> list[str]:
    """Return NAME=FOLDER options as the setting that they stand for; none: it is left as it is.

    Raises:
        ValueError: one is of another form, or names a shop again.
    """
    folders: dict[str, str] = {}
    for given in shops:
        name, equals, folder = given.partition("=")
        if not equals or not name.strip() or not folder.strip():
            raise ValueError(f"--shop {given!r} is not NAME=FOLDER")
        if name.strip() in folders:
            raise ValueError(f"--shop {name.strip()} is given twice")
        folders[name.strip()] = folder.strip()
    return [f"shops.folders={json.dumps(folders)}"] if folders else []


def _read(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise ValueError(f"--set {name}: no JSON ({said})") from None


def checked(model: type[M], what: str, **values: Any) -> M:
    """Return a model of ``values``.

    Raises:
        ValueError: they are not valid; one line names each fault.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise ValueError(_faults(what, error)) from None


def _faults(
    what: str,
    error: ValidationError,
    given: Any = None,
    kept: Any = None,
    path: Path | None = None,
) -> str:
    """Return the faults of values as one line.

    Args:
        what: they are.
        error: that found them.
        given: by the command itself.
        kept: by the data folder.
        path: where that stands.
    """
    said = []
    for fault in error.errors():
        place = fault["loc"]
        is_kept = _at(given, place) is None and _at(kept, place) is not None
        said.append(
            _fault(place, fault["msg"], fault)
            + (f" (kept in {path}: mend it there)" if is_kept else "")
        )
    return f"{what}: {redacted('; '.join(said))}"


def _at(values: Any, place: tuple[int | str, ...]) -> Any:
    for part in place:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _fault(place: tuple[int | str, ...], message: str, fault: Any) -> str:
    """Return a fault of a value, and the value, unless it is a secret or was meant as one."""
    value = fault["input"]
    shown = isinstance(value, str | int | float)
    shown = shown and fault["type"] not in ("extra_forbidden", HOLDS_SECRET)
    shown = shown and not any(is_secret_name(part) for part in place)
    said = f"{'.'.join(map(str, place))}: {message}"
    return f"{said} (given: {value!r})" if shown else said


def given_filter(
    text: str | None,
    category: list[str] | None,
    brand: list[str] | None,
    min_price: float | None,
    max_price: float | None,
) -> Filter:
    """Return the filter of a command's options, which all have to hold.

    Raises:
        ValueError: one is not valid; the message names it.
    """
    plain: dict[str, Any] = {
        "category": category or None,
        "brand": brand or None,
        "min_price": min_price,
        "max_price": max_price,
    }
    beside = checked(Filter, "filter", **plain)
    if text is None:
        return beside
    try:
        asked = read_filter(text)
    except ValueError as error:
        faults = (f"{where}: {what}" if where else what for where, what in faults_of(error))
        raise ValueError(f"--filter: {'; '.join(faults)}") from None
    return asked if beside == ANYTHING else Filter(all_of=[beside, asked])


def report_path(settings: Settings) -> Path:
    """Return where the last run's report can be read; it need not be there."""
    if settings.storage.url is None:
        return settings.data_dir / "evaluation" / "report.json"
    from beauty_rec.orchestration.storage.records import report_file

    return report_file(settings)


def refuse_read_only(folder: Path) -> None:
    """Raise where nothing can be written.

    Raises:
        PermissionError: the folder, or the one that it would be made in, is read-only.
    """
    there = existing(folder)
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{there} is read-only: nothing can be built there")


def without_reviews(settings: Settings) -> str | None:
    """Return what is wrong with files that say something of reviews which are not named, or None.

    Else the synthetic shop would be built, and they be read by nobody.
    """
    alone = [kind for kind in ("items", "profiles") if getattr(settings, kind) is not None]
    if settings.reviews is not None or not alone:
        return None
    back = " ".join(f"--set {kind}=null" for kind in alone)
    return (
        f"{' and '.join(alone)} are named without reviews: name --reviews FILE, or take them back "
        f"with {back}"
    )


def refuse_without_reviews(settings: Settings) -> None:
    """Raise where items or profiles are named, and no reviews.

    Raises:
        ValueError: the message names the remedy.
    """
    if (fault := without_reviews(settings)) is not None:
        raise ValueError(fault)


def refuse_without_sample(settings: Settings) -> None:
    """Raise where the synthetic sample would be read and is not written yet.

    Raises:
        FileNotFoundError: it is not there; the message names the commands that write it.
    """
    path = settings.inputs["reviews"]
    if settings.profile == "full" or path is None or not lacks_sample(settings):
        return
    what = "is of other settings" if path.exists() else "does not exist yet"
    raise FileNotFoundError(
        f"{path} {what}: beauty-rec data sample --data-dir {settings.data_dir} writes the "
        "synthetic sample, as beauty-rec run does; or name --reviews FILE"
    )


def lacks_sample(settings: Settings) -> bool:
    """Tell whether a run would write the synthetic sample: it is not there, or is another one.

    Raises:
        ValueError: the full profile was asked for without reviews.
    """
    if settings.reviews is not None:
        return False
    if settings.profile == "full":
        raise ValueError(
            "the full profile needs reviews: beauty-rec data download, then "
            "beauty-rec run --profile full --reviews FILE --items FILE"
        )
    from beauty_rec.sample import has_sample

    return not has_sample(settings.sample_dir, settings.sample)


def make_sample_if_needed(settings: Settings) -> None:
    """Write the synthetic sample where a run lacks it; call it in one's turn to refresh.

    Raises:
        ValueError: as of :func:`lacks_sample`.
    """
    if lacks_sample(settings):
        from beauty_rec.sample import write_sample

        write_sample(settings.sample_dir, settings.sample)
