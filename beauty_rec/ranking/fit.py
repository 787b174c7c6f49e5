"""The reranker's training on frames: from folds of train to a folder that answers."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from beauty_rec.items.vocabulary import Vocabulary
from beauty_rec.ranking.apply import TABLE, VOCABULARY, labelled_features
from beauty_rec.ranking.draws import training_rows
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.build import FeatureBuilder, Features, join_features
from beauty_rec.ranking.features.frames import candidates_from, labels_of, queries_from
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.train import train_reranker
from beauty_rec.settings import RankingSettings


@dataclass(frozen=True)
class Sources:
    """What features are made from: attributes, raw_items, train reviews, profiles, vocabulary.

    ``attributes_before``: Unix ms → the attributes with what train events said before it. With the
    attributes of today a fold would read in them which items its own events are going to take.
    """

    attributes: pl.DataFrame
    attributes_before: Callable[[int], pl.DataFrame]
    items: pl.DataFrame
    train_reviews: pl.DataFrame
    profiles: pl.DataFrame
    vocabulary: Vocabulary

    def table(
        self, spec: FeatureSpec, settings: RankingSettings, until_ms: int | None = None
    ) -> ItemTable:
        """Return what is known of the items at a moment; None: at the end of train."""
        return ItemTable.build(
            self.attributes if until_ms is None else self.attributes_before(until_ms),
            self.vocabulary,
            self.items,
            self.train_reviews,
            self.profiles,
            spec,
            settings,
            until_ms,
        )


def fit_reranker(
    sources: Sources,
    folds: Iterable[tuple[int, pl.DataFrame]],
    train_candidates: pl.DataFrame,
    valid_events: pl.DataFrame,
    valid_candidates: pl.DataFrame,
    embeddings: np.ndarray,
    settings: RankingSettings,
    served: int,
    target: Path,
    checkpoints: Path | None = None,
) -> dict[str, Any]:
    """Train, write the reranker with its item table into ``target`` and return the log.

    Args:
        sources: see :class:`Sources`.
        folds: start (Unix ms) and events of each out-of-fold part of train; what is known of the
            items is what was before the start.
        train_candidates, valid_candidates: of user_candidates; those of train may go deeper, so
            that more of the answers are among them.
        valid_events: what early stopping and the calibration look at.
        embeddings: of the item tower, float32 ``[rows, E]``.
        settings: hyper-parameters; ``transfer`` says whether the embeddings are taken over.
        served: candidates of a request; the features' statistics are of train candidates of such
            ranks.
        target: new folder.
        checkpoints: folder of the state after the last epoch, from which a killed training goes
            on; emptied at the end.

    Returns:
        ``epochs``: one row of figures each; ``best``: that of the kept one; ``without_transfer``:
        the same of a training without transfer, where ``settings.ablation`` asks for one;
        ``examples``, ``positives`` of train.
    """
    spec = FeatureSpec.layout(sources.vocabulary, sources.profiles, sources.train_reviews, settings)
    features: list[Features] = []
    labels = []
    draw = np.random.default_rng(settings.seed)
    for start, events in folds:
        builder = FeatureBuilder(spec, sources.vocabulary, sources.table(spec, settings, start))
        found, _ = candidates_from(train_candidates, events)
        chosen = labels_of(found, events["parent_asin"].to_list())
        rows = training_rows(chosen, found.query_row, settings.negatives, draw)
        queries = queries_from(events, sources.profiles)
        features.append(builder.build(queries, found.take(rows)))
        labels.append(chosen[rows])
    joined = join_features(features)
    within = joined.raw[:, spec.raw.index("tower_log_rank")] < np.log(served + 0.5)
    spec = spec.fitted(joined.raw[within])
    table = sources.table(spec, settings)
    builder = FeatureBuilder(spec, sources.vocabulary, table)
    valid, valid_labels, _ = labelled_features(
        builder, valid_events, valid_candidates, sources.profiles
    )
    train = Examples.of(joined, np.concatenate(labels), spec)
    judged = Examples.of(valid, valid_labels, spec)
    size = len(sources.vocabulary)
    trained = train_reranker(train, judged, spec, size, settings, embeddings, checkpoints)
    trained.reranker.save(target)
    table.save(target / TABLE)
    sources.vocabulary.save(target / VOCABULARY)
    log = {
        "epochs": trained.history,
        "best": _best(trained.history),
        "examples": len(train.labels),
        "positives": int(train.labels.sum()),
    }
    if settings.transfer and settings.ablation:
        plain = settings.model_copy(update={"transfer": False})
        aside = None if checkpoints is None else checkpoints / "without_transfer"
        untransferred = train_reranker(train, judged, spec, size, plain, checkpoints=aside)
        log["without_transfer"] = _best(untransferred.history)
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return log


def _best(history: list[dict[str, float]]) -> dict[str, float]:
    """Return the figures of the epoch whose weights were kept."""
    return min(history, key=lambda figures: figures["valid_log_loss"], default={})
