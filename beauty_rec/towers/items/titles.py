"""The title reader of an encoder's name, and what a trained tower makes of items with it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from beauty_rec.retriever.model_files import resolve_model, unavailable
from beauty_rec.settings import ItemTowerSettings, offline
from beauty_rec.towers.items.features import ItemFeatures
from beauty_rec.towers.items.model import ItemTower
from beauty_rec.towers.items.served import item_vectors
from beauty_rec.towers.items.title_states import TitleReader


def load_title_reader(
    titles: Sequence[str],
    settings: ItemTowerSettings,
    folder: Path | None = None,
    *,
    device: str = "cpu",
    precision: str = "auto",
    scratch: Path | None = None,
) -> TitleReader:
    """Return the reader of ``titles`` with ``settings.title_encoder``.

    Args:
        titles: the distinct titles.
        settings: which encoder, how many tokens, and whether it is trained along.
        folder: of a trained item tower: its own title encoder is read if it kept one.
        device: that the encoder computes on.
        precision: ``encoder.precision``, for the reading of titles that are not trained along.
        scratch: folder on whose disk the titles' states lie; None: that of temporary files.

    Raises:
        EncoderUnavailable: the weights cannot be had; the message names them and the remedy.
    """
    from transformers import AutoModel, AutoTokenizer

    source = resolve_model(settings.title_encoder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=offline())
        encoder = AutoModel.from_pretrained(source, dtype=torch.float32, local_files_only=offline())
    except (OSError, ValueError) as error:  # what the hub client and transformers raise
        raise unavailable(settings.title_encoder, error, "item_tower.title_encoder") from error
    trained = folder / "titles.safetensors" if folder is not None else None
    if trained is not None and trained.exists():
        encoder.load_state_dict(load_file(trained))
    return TitleReader(
        tokenizer,
        encoder.eval().to(device),
        titles,
        settings.max_title_tokens,
        settings.train_title_encoder and folder is None,
        scratch,
        precision,
    )


def read_item_vectors(
    tower: ItemTower,
    folder: Path,
    features: ItemFeatures,
    *,
    precision: str,
    scratch: Path | None = None,
) -> NDArray[np.float32]:
    """Return :func:`item_vectors` of a trained tower, ``[N, D + A]``, once it has read the titles.

    Args:
        tower: on the device that it computes on.
        folder: that it was read from.
        features: N items.
        precision, scratch: as of :func:`load_title_reader`.

    Raises:
        EncoderUnavailable: as :func:`load_title_reader`.
    """
    titles = load_title_reader(
        features.titles,
        tower.settings,
        folder,
        device=str(tower.embedding.weight.device),
        precision=precision,
        scratch=scratch,
    )
    return item_vectors(tower, titles, features).matrix
