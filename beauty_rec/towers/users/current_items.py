"""The item matrix of today, for a user tower that was trained before.

The tower's weights and its columns stand still between trainings; the items, their vectors and
what train events say of them move on. So a new item, or one that starts to sell, needs no training
to be found.
"""

from pathlib import Path

import numpy as np
import polars as pl

from beauty_rec.artifacts import Vectors
from beauty_rec.events.arrays import read_events
from beauty_rec.towers.users.item_matrix import ItemMatrix, build_item_matrix
from beauty_rec.towers.users.profiles import ProfileEncoder, align
from beauty_rec.towers.users.served import read_config
from beauty_rec.towers.users.statistics import StatisticsSpec


def current_items(
    tower: Path,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    item_vectors: Vectors,
    item_texts: Vectors | None,
    *,
    as_trained: bool = False,
) -> ItemMatrix:
    """Return the matrix of ``item_vectors``' items for the user tower in the folder ``tower``.

    Args:
        tower: of :meth:`~beauty_rec.towers.users.served.ServedUserTower.save`.
        reviews: rows of split_reviews; only those of train are read, and of their contexts only
            those that the tower has columns of, whatever else was said since.
        profiles: ``user_profiles``.
        item_vectors: of the item tower, ``[N, D]``.
        item_texts: of the text retriever; read if the tower has a text block.
        as_trained: take the statistics at the moment at which the training did (for a fold), not
            at the end of train.

    Raises:
        ValueError: the vectors have other widths than those that the tower was trained with, or
            there is no train event whose item is known.
    """
    config = read_config(tower)
    spec = StatisticsSpec.from_json(config["statistics"])
    encoder = ProfileEncoder.from_json(config["profiles"])
    texts = item_texts if config["text"] else None
    _check_width(tower, "item vectors", item_vectors, config["shape"]["tower"])
    if texts is not None:
        _check_width(tower, "text vectors", texts, config["text"])
    events = read_events(reviews.filter(split="train"), item_vectors.ids, spec.tags)
    rows = np.argsort(events.time_ms, kind="stable")
    rows = rows[events.item[rows] >= 0]
    if not len(rows):
        raise ValueError("there is no train event whose item is known")
    as_of_ms = int(config["as_of_ms"] if as_trained else events.time_ms[rows[-1]] + 1)
    people = encoder.encode(align(profiles, events.users))
    return build_item_matrix(item_vectors, spec.at(events, rows, people, as_of_ms), as_of_ms, texts)


def restated(
    items: ItemMatrix, tower: Path, reviews: pl.DataFrame, profiles: pl.DataFrame
) -> ItemMatrix:
    """Return the same items with what the train rows of ``reviews`` say of them.

    Args:
        items: of :func:`current_items`, for the same tower.
        tower, reviews, profiles: as there.

    Raises:
        ValueError: as there.
    """
    text_start = items.tower + items.statistics
    vectors = Vectors(items.ids, items.matrix[:, : items.tower])
    texts = Vectors(items.ids, items.matrix[:, text_start:]) if items.text else None
    return current_items(tower, reviews, profiles, vectors, texts)


def _check_width(tower: Path, what: str, vectors: Vectors, width: int) -> None:
    if vectors.matrix.shape[1] != width:
        raise ValueError(
            f"{what} are {vectors.matrix.shape[1]} wide, but {tower} was trained with {width}; "
            "train it anew: beauty-rec run --select user_tower"
        )
