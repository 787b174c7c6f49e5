"""What a question costs, in ordinary questions: ten items for a few words.

Fitted by eye to what `benchmarks/serving.py`'s server takes for questions of every size; it has to
be right within a factor of two, so that nobody's share of the server is bought by size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from beauty_rec.recommender.online.feeds.question import FeedQuestion
from beauty_rec.recommender.online.requests import NewEvent, NewItem, RecommendRequest, SimilarBy
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.filters import ANYTHING, Filter

CHARS = 1_000
"""Characters whose encoding costs as much as an ordinary question."""
ROWS = 150
"""Recommended items whose reasons do."""
NAMES = 1_000
"""Items of the past, or to leave out, that do."""
CLAUSES = 100
"""Names, values and clauses of a filter that every item is held against that do."""
EVENTS = 10
"""Events in one call that do."""
USERS_AT_ONCE = 64
"""Users of a batch that are answered together; then it is another client's turn."""
IN_COMPANY = 0.25
"""What a question in a batch costs, to one that is asked alone."""
ADDED_ITEM = 0.5
"""Reading and indexing one given item, beside its text."""


@dataclass(frozen=True)
class SimilarQuestion:
    """The ``k`` items most like one."""

    parent_asin: str
    k: int
    by: SimilarBy = "text"
    filters: Filter = ANYTHING


@dataclass(frozen=True)
class SeveralQuestions:
    """Some questions of a batch, which are answered together."""

    requests: tuple[RecommendRequest, ...]

    @property
    def filters(self) -> Filter:
        """What the items of all of them have to be: it is the same for a whole batch."""
        return self.requests[0].filters


Question = SeveralQuestions | RecommendRequest | SearchQuestion | SimilarQuestion | FeedQuestion


def cost_of(question: Question, diversity: float = 0.0) -> float:
    """Return what an answer costs, 1 for an ordinary one.

    Args:
        question: that is answered.
        diversity: of the answers to questions that name none.
    """
    return _without_filter(question, diversity) + _clauses(question.filters) / CLAUSES


def _without_filter(question: Question, diversity: float) -> float:
    if isinstance(question, SeveralQuestions):
        return sum(IN_COMPANY * _without_filter(one, diversity) for one in question.requests)
    if isinstance(question, SimilarQuestion):
        return 1 + question.k / (10 * ROWS)
    if isinstance(question, FeedQuestion):
        shelves = question.shelves if question.feed == "because-you-bought" else 1
        return 1 + shelves * question.k / (10 * ROWS)
    if isinstance(question, SearchQuestion):
        return 1 + question.k / (10 * ROWS) + len(question.text) / CHARS
    rows = question.k / ROWS
    own = diversity if question.diversity is None else question.diversity
    rows *= 1 + 0.5 * question.stages + 0.5 * bool(own)
    names = (len(question.history) + len(question.exclude)) / NAMES
    return 1 + rows + names + len(question.context or "") / CHARS


def _clauses(asked: Filter) -> int:
    """Return how many names and values a filter has, those of the filters within it included."""
    if asked is ANYTHING:
        return 0
    inner = [*(asked.all_of or ()), *(asked.any_of or ())]
    if asked.not_ is not None:
        inner.append(asked.not_)
    own = len(asked.model_fields_set) + sum(len(values) - 1 for values in asked.labels.values())
    return own + sum(1 + _clauses(one) for one in inner)


def cost_of_items(items: Sequence[NewItem]) -> float:
    """Return what it costs to add items."""
    return sum(ADDED_ITEM + _chars(item) / CHARS for item in items)


def cost_of_events(events: Sequence[NewEvent]) -> float:
    """Return what it costs to keep events: a list of them waits for one write."""
    return 1 + (len(events) - 1) / EVENTS


def _chars(item: NewItem) -> int:
    return len(item.title) + len(item.description) + sum(map(len, item.features))
