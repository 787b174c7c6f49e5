"""What every group of settings is."""

from os.path import isdir
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Days = Annotated[float, Field(gt=0)]
Width = Annotated[int, Field(ge=1)]


class Group(BaseModel):
    """A group of settings: unknown names are errors, values do not change, numbers are finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


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


def folder_or_name(model: str) -> str:
    """Return :func:`located` of a model's folder, and a name that is none as it is; a validator."""
    # Path.is_dir raises for what cannot be a path, and takes no name at all for this folder.
    is_folder = model.startswith("~") or isdir(model)  # noqa: PTH112
    return str(located(Path(model))) if is_folder else model
