"""The environment: variables that are read, and those that children get."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

PREFIX = "BEAUTY_REC_"
"""Of a variable that is a setting."""


def default_data_dir() -> Path:
    """Return the data folder that the environment names; or data.

    Where nothing else does, ``DAGSTER_HOME``, which lies in it, as ``dagster dev`` has it.
    """
    if named := os.environ.get("BEAUTY_REC_DATA_DIR"):
        return Path(named)
    home = Path(os.environ.get("DAGSTER_HOME", ""))
    if home.name == "dagster" and (home.parent / "settings.json").exists():
        return home.parent
    return Path("data")


class Variables(EnvSettingsSource):
    """The variables that are settings; a value is read as one of ``--set`` is."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Return the value of a list or an object: of JSON, where it begins as such.

        Raises:
            ValueError: it is none; the message is the name of the field.
        """
        is_group = isinstance(field and field.annotation, type)
        if not is_group and value.strip()[:1] not in ("[", "{") and value.strip() != "null":
            return value
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            raise ValueError(field_name) from None


def variable_of(group: str, name: str) -> str:
    """Return the variable of a setting, or of a group where that is its name."""
    return f"{PREFIX}{group}" + (f"__{name}" if name != group else "")


def misspelt_variable(known: Mapping[str, Iterable[str]]) -> str | None:
    """Return what is wrong with a variable that is meant to be a setting, and is none; or None.

    Args:
        known: the groups and their settings, and the settings that are in none.
    """
    names = {f"{PREFIX}{name.upper()}" for name in known}
    in_groups = ((group.upper(), name.upper()) for group, own in known.items() for name in own)
    flat = {f"{PREFIX}{group}_{name}": variable_of(group, name) for group, name in in_groups}
    for given in sorted(os.environ):
        group, nested, _ = given.upper().partition("__")
        if group in names or not group.startswith(PREFIX):
            continue
        if meant := flat.get(given.upper()):
            return f"the variable {given} is no setting; it is {meant}, with two underscores"
        near = get_close_matches(group, names, 1, 0.9)
        if nested or near:
            hint = f"; is it {near[0]}?" if near else ""
            return f"the variable {given} is no setting{hint}"
    return None


def records_in_postgres() -> bool:
    """Whether the environment names a database for Dagster's records.

    Raises:
        ValueError: what it names is no address; the message does not quote it.
    """
    url = os.environ.get("DAGSTER_POSTGRES_URL", "")
    if url and not re.match(r"postgres(?:ql)?(?:\+\w+)?://", url):
        raise ValueError(
            "the variable DAGSTER_POSTGRES_URL is no address such as postgresql://user@host/name"
        )
    return bool(url)


def secret_variables() -> list[str]:
    """Return the names of this process's variables that settings do not hand on: secrets."""
    names = ("BEAUTY_REC_ITEM_INDEX__DSN", "BEAUTY_REC_LLM__API_KEY", "PGPASSWORD")
    stores = ("AWS_", "FSSPEC_")
    return [name for name in os.environ if name in names or name.startswith(stores)]


def child_environment(**more: str) -> dict[str, str]:
    """Return this process's environment and ``more``, for a child process."""
    return {**os.environ, **more}


def visible_gpus(numbers: Sequence[int]) -> dict[str, str]:
    """Return the variable that shows a child process these GPUs alone, as its numbers 0, 1, ….

    Args:
        numbers: among those that this process sees, which its own variable may have chosen.
    """
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = seen.split(",") if seen else [str(number) for number in range(max(numbers) + 1)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[number] for number in numbers)}


def let_threads_sleep() -> None:
    """Have OpenMP's idle threads sleep after 0.2 ms, unless the environment says otherwise.

    By default they spin for 3 ms. That a training has for free; a server shares its cores with its
    database, its clients and the nightly run. Without any spinning an answer takes a fifth longer.
    To be called before torch is imported.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def debugging() -> bool:
    """Whether errors are to be shown whole (``BEAUTY_REC_DEBUG``)."""
    return os.environ.get("BEAUTY_REC_DEBUG", "") not in ("", "0")


def offline() -> bool:
    """Whether the environment forbids model downloads (``HF_HUB_OFFLINE``)."""
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
