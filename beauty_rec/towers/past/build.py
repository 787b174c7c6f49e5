"""Making the items of the past: inputs as of each fold's start, and the vectors of them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import atomic_path, write_rows
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.settings import Settings
from beauty_rec.towers.items.features import PAD, Content, ItemFeatures, item_features
from beauty_rec.towers.items.inputs import item_inputs
from beauty_rec.towers.past.stored import ATTRIBUTES, ROWS, STARTS, TEXTS, TOWER

T = TypeVar("T", Content, str)


@dataclass
class PastInputs:
    """The distinct texts and tower inputs of all moments, and which items had which.

    Attributes:
        rows: of each moment, by its Unix ms: ``parent_asin, tower, text``, places in ``contents``
            and ``texts``; -1 for an item without a text.
    """

    attributes: dict[int, pl.DataFrame] = field(default_factory=dict)
    rows: dict[int, pl.DataFrame] = field(default_factory=dict)
    contents: dict[Content, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)

    def save(self, tower: NDArray[np.float32], texts: NDArray[np.float32], target: Path) -> None:
        """Write what :class:`~beauty_rec.towers.past.stored.PastItems` reads.

        Args:
            tower: float32 ``[len(contents), D]``.
            texts: float32 ``[len(texts), T]``.
            target: folder, replaced atomically.
        """
        with atomic_path(target) as draft:
            draft.mkdir()
            for start, attributes in self.attributes.items():
                (draft / str(start)).mkdir()
                write_rows(attributes, draft / str(start) / ATTRIBUTES)
                write_rows(self.rows[start], draft / str(start) / ROWS)
            np.save(draft / TOWER, tower)
            np.save(draft / TEXTS, texts)
            (draft / STARTS).write_text(json.dumps(list(self.attributes)), encoding="utf-8")


def features_of(contents: Sequence[Content]) -> ItemFeatures:
    """Return the item tower's inputs of some contents, named by their places."""
    width = max((len(re) for _, re, _ in contents), default=0)
    std = np.array([std for std, _, _ in contents], dtype=np.int64)
    re = np.array([(*re, *[PAD] * (width - len(re))) for _, re, _ in contents], dtype=np.int64)
    titles = {str(place): title for place, (_, _, title) in enumerate(contents)}
    return item_features(list(titles), std, re, titles)


def filled(
    wanted: Iterable[T],
    known: Mapping[T, int],
    matrix: NDArray[np.float32],
    compute: Callable[[list[T]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return a vector for each of ``wanted``, float32 ``[W, D]``, computing those not known.

    Args:
        wanted: texts or contents.
        known: rows of ``matrix``, by the same.
        matrix: float32 ``[N, D]``.
        compute: some of ``wanted`` → float32 ``[n, D]``.
    """
    rows = np.array([known.get(content, -1) for content in wanted], dtype=np.int64)
    out = np.empty((len(rows), matrix.shape[1]), np.float32)
    out[rows >= 0] = matrix[rows[rows >= 0]]
    if missing := [content for content in wanted if content not in known]:
        out[rows < 0] = compute(missing)
    return out


def past_inputs(
    moments: Iterable[tuple[int, pl.DataFrame, pl.DataFrame]],
    known: Vocabulary,
    reviews: pl.DataFrame,
    profiles: pl.DataFrame,
    settings: Settings,
) -> PastInputs:
    """Return what encoders have to read for the items of some moments.

    Args:
        moments: of :func:`beauty_rec.items.past.texts.past_texts`.
        known: the ids that the item tower is asked with.
        reviews: train rows of ``split_reviews``.
        profiles: ``user_profiles``.
        settings: of the run.
    """
    found = PastInputs()
    for start, attributes, texts in moments:
        inputs = item_inputs(attributes, known, texts, reviews, profiles, settings).features
        text_of = dict(texts.select("parent_asin", "text").iter_rows())
        tower, text = [], []
        for name, content in zip(inputs.ids, inputs.contents(), strict=True):
            tower.append(found.contents.setdefault(content, len(found.contents)))
            said = text_of.get(name)
            text.append(-1 if said is None else found.texts.setdefault(said, len(found.texts)))
        found.attributes[start] = attributes
        rows = {"parent_asin": inputs.ids, "tower": tower, "text": text}
        schema = {"parent_asin": pl.String, "tower": pl.Int64, "text": pl.Int64}
        found.rows[start] = pl.DataFrame(rows, schema=schema)
    return found
