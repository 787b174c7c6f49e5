"""Whose turn it is, what gives way, and what is not computed for nobody."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from beauty_rec.recommender.online.requests import NewItem, RecommendRequest
from beauty_rec.recommender.online.search import SearchQuestion
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.serving.http.rate import Rate
from beauty_rec.serving.http.turns.batching import LIGHT, Batcher, Overloaded
from beauty_rec.serving.http.turns.cost import (
    SeveralQuestions,
    SimilarQuestion,
    cost_of,
    cost_of_items,
)
from beauty_rec.serving.http.turns.fair_queue import FairQueue

LARGEST = RecommendRequest(
    history=["x"] * 1_000, exclude=["x"] * 1_000, context="a " * 1_000, k=1_000,
    stages=True, diversity=0.5,
)  # fmt: skip


def order(queue: FairQueue[str], count: int = 100) -> str:
    return "".join(entry.value for entry in queue.take(count, float("inf")))


def test_clients_take_turns_by_what_they_cost() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(6):
        queue.put("greedy", 1, "g")
    for _ in range(3):
        queue.put("other", 2, "o")
    assert order(queue, 6) == "ggoggo"
    queue.put("late", 1, "l")  # owes nothing, and is owed nothing for its absence
    assert order(queue) == "glgo"
    assert len(queue) == 0


def test_a_batch_ends_where_its_work_does() -> None:
    queue: FairQueue[int] = FairQueue()
    for number, cost in enumerate((9, 1, 1, 1)):
        queue.put("one", cost, number)
    batches = [[e.value for e in queue.take(16, 2)] for _ in range(3)]
    assert batches == [[0], [1, 2], [3]]


def test_the_rate_counts_what_a_request_costs() -> None:
    rate = Rate(10)
    assert rate.take("large") == 0
    rate.charge("large", 50)
    assert 3 < rate.take("large") <= 3.2  # 31 tokens are owed, and one is wanted
    waits = [rate.take("small") for _ in range(30)]
    assert waits[:20] == [0] * 20
    assert 0 < waits[-1] <= 0.2


def test_costs_follow_the_work() -> None:
    assert cost_of(RecommendRequest(context="a rose soap", k=10)) == pytest.approx(1, abs=0.1)
    assert cost_of(SearchQuestion("a rose soap")) == pytest.approx(1, abs=0.1)
    assert cost_of(SimilarQuestion("x", 1_000)) < LIGHT
    assert 10 < cost_of(LARGEST) < 30
    large = RecommendRequest(k=1_000)
    varied = cost_of(RecommendRequest(k=1_000, diversity=0.5))
    assert cost_of(large, 0.5) == varied > cost_of(large)  # the server's, where none is named
    assert cost_of(RecommendRequest(k=1_000, diversity=0), 0.5) == cost_of(large)
    assert cost_of(SeveralQuestions((large,) * 10), 0.5) > cost_of(SeveralQuestions((large,) * 10))
    wide = Filter.model_validate({"any_of": [{"brand": "b"}] * 400})
    assert cost_of(SearchQuestion("a rose soap", filters=wide)) > LIGHT
    narrow = Filter(category=["soap", "serum"], max_price=30)
    assert cost_of(SearchQuestion("a rose soap", filters=narrow)) == pytest.approx(1, abs=0.1)
    alone = RecommendRequest(filters=wide)
    several = SeveralQuestions((alone,) * 10)  # which share what passes their filter
    assert cost_of(several) < cost_of(alone) + 10
    item = NewItem(parent_asin="x", title="t", features=["x" * 2_000] * 50)
    assert cost_of_items([item] * 100) > 1_000


def test_who_gives_up_is_not_computed_for_and_the_greediest_gives_way() -> None:
    computed: list[str] = []
    go = threading.Event()

    def compute(questions: Sequence[str]) -> list[str | Exception]:
        go.wait(5)
        computed.extend(questions)
        return [KeyError(q) if q == "bad" else q.upper() for q in questions]

    async def play() -> None:
        batcher: Batcher[str, str] = Batcher(compute, 4, 4)
        first = asyncio.ensure_future(batcher.ask("first", "greedy"))
        await asyncio.sleep(0.05)  # it is being computed
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await batcher.ask("late", "greedy")
        waiting = [asyncio.ensure_future(batcher.ask(f"g{n}", "greedy")) for n in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.ask("g4", "greedy")
        other = [asyncio.ensure_future(batcher.ask(q, "other")) for q in ("o", "bad")]
        await asyncio.sleep(0)
        go.set()
        answers = await asyncio.gather(first, *waiting, *other, return_exceptions=True)
        assert answers[:3] == ["FIRST", "G0", "G1"]
        assert all(isinstance(answer, Overloaded) for answer in answers[3:5])
        assert answers[5] == "O"
        assert isinstance(answers[6], KeyError)
        await asyncio.to_thread(batcher.close)

    asyncio.run(play())
    assert "late" not in computed


def test_nobody_stands_behind_a_large_question() -> None:
    def compute(questions: Sequence[float]) -> list[float | Exception]:
        time.sleep(sum(questions))
        return list(questions)

    async def play() -> list[float]:
        batcher: Batcher[float, float] = Batcher(compute, 16, 64)
        large = [asyncio.ensure_future(batcher.ask(0.3, "greedy", 16)) for _ in range(10)]
        many = [asyncio.ensure_future(batcher.ask(0.01, "greedy", 1)) for _ in range(30)]
        took = []
        for _ in range(10):
            started = time.monotonic()
            await batcher.ask(0.01, "other")
            took.append(time.monotonic() - started)
        for future in (*large, *many):
            future.cancel()
        await asyncio.to_thread(batcher.close)
        return took

    took = asyncio.run(play())
    assert sorted(took)[5] < 0.08, took  # its own, and one short batch before it
