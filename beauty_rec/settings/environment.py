"""The environment: variables that are read, and those that children get."""

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

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


def misspelt_variable(known: Iterable[str]) -> str | None:
    """Return what is wrong with a variable that is meant to be a setting, and is none; or None.

    Args:
        known: the groups, and the settings that are in none.
    """
    names = {f"{PREFIX}{name.upper()}" for name in known}
    for given in sorted(os.environ):
        group, nested, _ = given.upper().partition("__")
        if group in names or not group.startswith(PREFIX):
            continue
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
