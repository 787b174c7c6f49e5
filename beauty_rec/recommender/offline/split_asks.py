"""The asks of a split with their candidates."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beauty_rec.events.asked import known_events, refuse_other_events
from beauty_rec.events.queries import sample_events
from beauty_rec.ranking.features.build import Query
from beauty_rec.recommender.offline.lists import CandidateLists
from beauty_rec.recommender.offline.scenarios import (
    Scenario,
    asked_events,
    given_texts,
    hits_of,
    queries_of,
    scenarios_of,
)
from beauty_rec.settings import Settings, Split


@dataclass(frozen=True)
class SplitAsks:
    """The candidates of a split's asks with their events.

    Attributes:
        lists: of :func:`~beauty_rec.recommender.offline.scenarios.split_lists`, all scenarios.
        events: of each scenario; ``context`` is the text.
        profiles: ``user_profiles``.
    """

    lists: CandidateLists
    events: Mapping[Scenario, pl.DataFrame]
    profiles: pl.DataFrame

    def sampled(self, most: int, seed: int) -> "SplitAsks":
        """Return the asks of at most ``most`` events, drawn as those of a split are."""
        names = pl.DataFrame({"review_id": self.lists.review_ids}).unique()
        wanted = set(sample_events(names, most, seed=seed)["review_id"])
        kept = np.array([name in wanted for name in self.lists.review_ids], dtype=bool)
        return replace(self, lists=self.lists.asked(kept))

    def queries(self) -> list[Query]:
        """Return the query of each ask."""
        return queries_of(self.lists, self.events, self.profiles)

    def users(self) -> NDArray[np.int64]:
        """Return who asks, a number for each user, int64 ``[Q]``."""
        events = pl.concat([frame.select("review_id", "user_id") for frame in self.events.values()])
        user_of = dict(events.iter_rows())
        users = pl.Series([user_of[name] for name in self.lists.review_ids], dtype=pl.String)
        return users.rank("dense").to_numpy().astype(np.int64)

    def answers(self) -> pl.DataFrame:
        """Return ``review_id, parent_asin, context`` of the events."""
        columns = ("review_id", "parent_asin", "context")
        return pl.concat([frame.select(columns) for frame in self.events.values()])

    def hits(self) -> NDArray[np.bool_]:
        """Return which candidates are the answers."""
        return hits_of(self.lists, self.answers())


def split_asks(
    lists: CandidateLists,
    split_reviews: pl.DataFrame,
    split: Split,
    profiles: pl.DataFrame,
    settings: Settings,
    user_tower: Path,
) -> SplitAsks:
    """Return the asks of a split.

    Args:
        lists: ``user_candidates`` of the split.
        split_reviews: rows that histories may reach into, the split's among them.
        split: which one.
        profiles: ``user_profiles``.
        settings: how events are asked.
        user_tower: folder of the towers, which names the folds.

    Raises:
        OtherEventsError: the lists are of events that the split does not have.
    """
    reviews, events = known_events(split_reviews, split, settings, user_tower)
    if split == "train":
        asked = dict(given_texts(events, settings.evaluation.seed))
    else:
        least = settings.evaluation.min_query_chars
        asked = {
            scenario: asked_events(events, reviews, scenario, least)
            for scenario in scenarios_of(reviews, settings.reads_texts)
        }
    refuse_other_events(
        "user_candidates",
        split,
        list(zip(lists.scenarios, lists.review_ids, strict=True)),
        {(scenario, name) for scenario, frame in asked.items() for name in frame["review_id"]},
    )
    return SplitAsks(lists, asked, profiles)
