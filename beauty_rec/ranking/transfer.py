"""What the item tower's knowledge is worth to the reranker: trainings with it and without.

The claim to be tested is about the start: fewer steps to the same quality. So a few short
trainings of each kind, over several seeds, are held against each other step by step on valid, and
the kind that is better there is the one that is trained in full. Of a large shop they see a part of
the examples: a start is not told better by more of them, and the trials would take several times as
long as the training that they are for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from beauty_rec.ranking.draws import answered_rows
from beauty_rec.ranking.examples import Examples
from beauty_rec.ranking.features.spec import FeatureSpec
from beauty_rec.ranking.train import train_reranker
from beauty_rec.settings import RankingSettings

LOSS, STEPS = "valid_log_loss", "steps"
LEAST_GAIN = 1e-3
"""Of the untransferred loss; seeds differ by several times as much."""

TRIAL_EXAMPLES = 100_000
"""Of whole queries, spread over all, that a trial learns from."""

History = Sequence[dict[str, float]]


@dataclass(frozen=True)
class TransferTrial:
    """Histories of trainings with what was transferred and without, one a seed, seed by seed."""

    transferred: Sequence[History]
    plain: Sequence[History]

    @property
    def helps(self) -> bool:
        """Whether the lowest valid log loss is lower with transfer, by more than it wavers.

        The medians' by :data:`LEAST_GAIN` at least, and that of four seeds of five.
        """
        pairs = zip(self.transferred, self.plain, strict=True)
        lower = sum(_best(own) < _best(without) for own, without in pairs)
        gained = _lowest(self.transferred) <= (1 - LEAST_GAIN) * _lowest(self.plain)
        return gained and lower >= 0.8 * len(self.plain)

    def steps(self) -> tuple[float, float | None]:
        """Return the median steps to the lowest loss of the plain training: plain, transferred.

        None: with transfer, half of the seeds or more do not reach it.
        """
        plain, transferred = [], []
        for without, own in zip(self.plain, self.transferred, strict=True):
            goal = _best(without)
            plain.append(_first(without, goal))
            transferred.append(_first(own, goal))
        reached = median(transferred)
        return median(plain), None if np.isinf(reached) else reached

    def sentence(self) -> str:
        """Return what the trial supports, in one plain sentence."""
        with_it, without = _lowest(self.transferred), _lowest(self.plain)
        own, steps = self.steps()
        seeds = f"medians of {len(self.plain)} seeds"
        losses = f"valid log loss {with_it:.5f} with transfer, {without:.5f} without ({seeds})"
        if steps is None:
            reach = f"the untransferred best ({own:g} steps) is not reached with it"
        else:
            reach = f"the untransferred best takes {own:g} steps without it and {steps:g} with it"
        verdict = "Transfer helps" if self.helps else "Transfer does not help"
        return f"{verdict} here: {losses}; {reach}."


def try_transfer(
    train: Examples,
    valid: Examples,
    spec: FeatureSpec,
    rows: int,
    settings: RankingSettings,
    embeddings: NDArray[np.float32],
    checkpoints: Path | None = None,
    device: str = "cpu",
) -> TransferTrial:
    """Train ``trial_seeds`` times ``trial_epochs`` with ``embeddings`` and without.

    The arguments are those of :func:`~beauty_rec.ranking.train.train_reranker`.
    """
    train = _spread(train, TRIAL_EXAMPLES)
    found: dict[bool, list[History]] = {True: [], False: []}
    for seed in range(settings.seed, settings.seed + settings.trial_seeds):
        for transfer in (True, False):
            short = settings.model_copy(
                update={
                    "seed": seed,
                    "transfer": transfer,
                    "epochs": settings.trial_epochs,
                    "patience": settings.trial_epochs,
                }
            )
            aside = None if checkpoints is None else checkpoints / f"trial-{seed}-{transfer:d}"
            trained = train_reranker(train, valid, spec, rows, short, embeddings, aside, device)
            found[transfer].append(trained.history)
    return TransferTrial(found[True], found[False])


def _spread(examples: Examples, most: int) -> Examples:
    """Return about ``most`` examples: those of answered queries, evenly drawn among all."""
    features, labels = examples.features, examples.labels
    rows = answered_rows(labels, features.user_row)
    if len(rows) <= most:
        return examples
    queries = np.unique(features.user_row[rows])
    count = max(1, len(queries) * most // len(rows))
    kept = queries[np.linspace(0, len(queries) - 1, count).astype(np.int64)]
    rows = rows[np.isin(features.user_row[rows], kept)]
    some = replace(
        features,
        user_row=features.user_row[rows],
        item_row=features.item_row[rows],
        raw=features.raw[rows],
    )
    return Examples(some, labels[rows], examples.spec)


def _best(history: History) -> float:
    return min(row[LOSS] for row in history)


def _lowest(histories: Sequence[History]) -> float:
    return median(_best(history) for history in histories)


def _first(history: History, goal: float) -> float:
    """Return the steps at which the loss is first at ``goal`` or below; inf if it never is."""
    return next((row[STEPS] for row in history if row[LOSS] <= goal), float("inf"))
