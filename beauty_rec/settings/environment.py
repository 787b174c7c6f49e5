"""The environment: variables that are read, and those that children get."""

import os
from pathlib import Path


def _default_data_dir() -> Path:
    """Return the data folder that ``DAGSTER_HOME`` lies in, as ``dagster dev`` has it; or data."""
    home = Path(os.environ.get("DAGSTER_HOME", ""))
    if home.name == "dagster" and (home.parent / "settings.json").exists():
        return home.parent
    return Path("data")


def records_in_postgres() -> bool:
    """Whether the environment names a database for Dagster's records."""
    return bool(os.environ.get("DAGSTER_POSTGRES_URL"))


def secret_variables() -> list[str]:
    """Return the names of this process's variables that settings do not hand on: secrets."""
    names = ("BEAUTY_REC_ITEM_INDEX__DSN", "BEAUTY_REC_LLM__API_KEY", "PGPASSWORD")
    stores = ("AWS_", "FSSPEC_")
    return [name for name in os.environ if name in names or name.startswith(stores)]


def child_environment(**more: str) -> dict[str, str]:
    """Return this process's environment and ``more``, for a child process."""
    return {**os.environ, **more}


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
