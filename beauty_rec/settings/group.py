"""What every group of settings is."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A group of settings: unknown names are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def located(path: Path) -> Path:
    """Return a path that means the same in every folder: absolute, ``~`` being the home folder.

    A shell does not read the ``~`` of ``--data-dir=~/shop``, or of an environment file.

    Raises:
        ValueError: there is no such home folder.
    """
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{path}: {error} Write the folder out.") from None


def from_anywhere(path: Path | None) -> Path | None:
    """Return :func:`located` of what may be unset; a validator."""
    return None if path is None else located(path)
