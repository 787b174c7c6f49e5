"""Making the items of the past: inputs as of each fold's start, and the vectors of them."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.artifacts import atomic_path
from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.settings import Settings
from beauty_rec.towers.items.features import PAD, ItemFeatures, item_features
from beauty_rec.towers.items.inputs import item_inputs
from beauty_rec.towers.past.stored import ATTRIBUTES, ROWS, STARTS, TEXTS, TOWER

Content = tuple[tuple[int, ...], tuple[int, ...], str]
"""All that an item's tower vector depends on: STD ids, RE ids, title."""


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

    def features(self, places: Sequence[int]) -> ItemFeatures:
        """Return the item tower's inputs of some of the ``contents``."""
        known = list(self.contents)
        chosen = [known[place] for place in places]
        width = max((len(re) for _, re, _ in chosen), default=0)
        padded = [(*re, *[PAD] * (width - len(re))) for _, re, _ in chosen]
        names = [str(place) for place in places]
        titles = {name: title for name, (_, _, title) in zip(names, chosen, strict=True)}
        std = np.array([std for std, _, _ in chosen], dtype=np.int64)
        return item_features(names, std, np.array(padded, dtype=np.int64), titles)

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
                attributes.write_parquet(draft / str(start) / ATTRIBUTES, compression="zstd")
                self.rows[start].write_parquet(draft / str(start) / ROWS, compression="zstd")
            np.save(draft / TOWER, tower)
            np.save(draft / TEXTS, texts)
            (draft / STARTS).write_text(json.dumps(list(self.attributes)), encoding="utf-8")


def contents_of(features: ItemFeatures) -> Iterator[Content]:
    """Yield what each item's tower vector depends on."""
    for std, re, title in features.contents():
        yield tuple(std), tuple(value for value in re if value != PAD), title


def filled(
    wanted: Iterable[Hashable],
    known: Mapping[Any, int],
    matrix: NDArray[np.float32],
    compute: Callable[[list[int]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return a vector for each of ``wanted``, float32 ``[W, D]``, computing those not known.

    Args:
        wanted: texts or contents.
        known: rows of ``matrix``, by the same.
        matrix: float32 ``[N, D]``.
        compute: places in ``wanted`` → float32 ``[len(places), D]``.
    """
    rows = np.array([known.get(content, -1) for content in wanted], dtype=np.int64)
    out = np.empty((len(rows), matrix.shape[1]), np.float32)
    out[rows >= 0] = matrix[rows[rows >= 0]]
    if missing := np.flatnonzero(rows < 0).tolist():
        out[missing] = compute(missing)
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
        before = reviews.filter(pl.col("timestamp") < start)
        inputs = item_inputs(attributes, known, texts, before, profiles, settings).features
        text_of = dict(texts.select("parent_asin", "text").iter_rows())
        tower, text = [], []
        for name, content in zip(inputs.ids, contents_of(inputs), strict=True):
            tower.append(found.contents.setdefault(content, len(found.contents)))
            said = text_of.get(name)
            text.append(-1 if said is None else found.texts.setdefault(said, len(found.texts)))
        found.attributes[start] = attributes
        rows = {"parent_asin": inputs.ids, "tower": tower, "text": text}
        schema = {"parent_asin": pl.String, "tower": pl.Int64, "text": pl.Int64}
        found.rows[start] = pl.DataFrame(rows, schema=schema)
    return found
