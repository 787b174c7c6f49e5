from dataclasses import fields, replace
from typing import cast

import numpy as np
import pytest
import torch

from beauty_rec.settings import UserTowerSettings
from beauty_rec.towers.users.inputs import Requests, moment, plain_requests
from beauty_rec.towers.users.model import UserTower, UserTowerShape
from beauty_rec.towers.users.profiles import ProfileEncoder
from beauty_rec.towers.users.train.data import UserTowerData

SHAPE = UserTowerShape(tower=4, statistics=3, context=5, profile=6, popularity=1)
MATRIX = torch.randn(30, 7, generator=torch.Generator().manual_seed(0))
ENCODER = ProfileEncoder(["height", "age"], [165, 30], [7, 5], {"body": ["apple", "pear"]})


@pytest.fixture
def tower(small: UserTowerSettings) -> UserTower:
    torch.manual_seed(0)
    tower = UserTower(SHAPE, small).eval()
    torch.nn.init.normal_(cast(torch.nn.Linear, tower.fusion[-1]).weight)
    torch.nn.init.normal_(tower.empty)
    return tower


def request(history=(), context=None, profile=None) -> Requests:
    return plain_requests([history], [context], [profile or {}], ENCODER, [10**12], 9 * 10**11, 5)


PAST = [(3, 4.0, 9.0), (8, 1.0, 5.0), (3, 5.0, 0.5)]
CONTEXT = np.ones(5, np.float32)
PERSON = {"height": 170, "age": float("nan"), "body": "pear"}


def test_every_combination_of_empty_branches_answers(tower: UserTower) -> None:
    answers = []
    for history in ([], PAST):
        for context in (None, CONTEXT):
            for profile in (None, PERSON):
                answer = tower(request(history, context, profile), MATRIX)
                assert answer.shape == (1, 7)
                assert torch.isfinite(answer).all()
                answers.append(tuple(answer[0].tolist()))
    assert len(set(answers)) == 8


def test_an_absent_branch_reads_nothing_of_its_values(tower: UserTower) -> None:
    whole = request(PAST, CONTEXT, PERSON)
    for branch, empty in enumerate(
        [request([], CONTEXT, PERSON), request(PAST, None, PERSON), request(PAST, CONTEXT, None)]
    ):
        without = torch.zeros(1, 3, dtype=torch.bool)
        without[0, branch] = True
        torch.testing.assert_close(tower(whole, MATRIX, without), tower(empty, MATRIX))


def test_unknown_items_are_no_history(tower: UserTower) -> None:
    unknown = request([(-1, 5.0, 1.0)], CONTEXT)
    assert torch.equal(tower(unknown, MATRIX), tower(request([], CONTEXT), MATRIX))
    among = request([*PAST[:1], (-1, 5.0, 6.0), *PAST[1:]], CONTEXT)
    assert torch.equal(tower(among, MATRIX), tower(request(PAST, CONTEXT), MATRIX))


@pytest.mark.parametrize("left", [0, 2, 20])
def test_padding_and_company_do_not_matter(tower: UserTower, left: int) -> None:
    alone = request(PAST, CONTEXT, PERSON)
    pad = torch.zeros(1, left)
    padded = replace(
        alone,
        items=torch.cat([pad.long() - 1, alone.items], dim=1),
        ratings=torch.cat([pad, alone.ratings], dim=1),
        age_days=torch.cat([pad, alone.age_days], dim=1),
    )
    torch.testing.assert_close(tower(padded, MATRIX), tower(alone, MATRIX))


@pytest.mark.parametrize("count", [1, 5, 6, 7, 16, 17, 30, 60])
def test_a_history_of_any_length_is_read_in_company_as_alone(tower: UserTower, count: int) -> None:
    """Short ones are read apart from long ones, which spares them the padding."""
    long = request([(row % 30, 4.0, float(row)) for row in range(60)])
    short = request([(row % 30, 3.0, float(row)) for row in range(count)])
    pad = torch.zeros(1, 60 - count)
    short = replace(
        short,
        items=torch.cat([pad.long() - 1, short.items], dim=1),
        ratings=torch.cat([pad, short.ratings], dim=1),
        age_days=torch.cat([pad, short.age_days], dim=1),
    )
    both = Requests(
        **{f.name: torch.cat([getattr(long, f.name), getattr(short, f.name)]) for f in fields(long)}
    )
    alone = torch.cat([tower(long, MATRIX), tower(short, MATRIX)])
    torch.testing.assert_close(tower(both, MATRIX), alone)


def test_more_than_the_longest_history(tower: UserTower) -> None:
    longest = tower.settings.max_history
    many = [(row % 30, 4.0, float(row)) for row in range(longest + 20)]
    assert torch.equal(tower(request(many), MATRIX), tower(request(many[-longest:]), MATRIX))


def test_order_rating_and_age_matter(tower: UserTower) -> None:
    base = tower(request(PAST), MATRIX)
    for other in (
        PAST[::-1],
        [(i, 3.0, a) for i, _, a in PAST],
        [(i, r, 900.0) for i, r, _ in PAST],
    ):
        assert not torch.allclose(tower(request(other), MATRIX), base)


def test_untrained_it_is_popularity(small: UserTowerSettings) -> None:
    answer = UserTower(SHAPE, small).eval()(request(PAST, CONTEXT, PERSON), MATRIX)
    assert answer[0].tolist() == [0, 0, 0, 0, 0, 1, 0]


def test_gradients_reach_every_part_and_are_finite(tower: UserTower) -> None:
    tower.train()
    parts = [request(PAST, CONTEXT, PERSON), request(PAST, None, None)]
    sum(tower(part, MATRIX).square().sum() for part in parts).backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_gradient_by_differences(tower: UserTower) -> None:
    tower.double()
    asked = request(PAST, CONTEXT, PERSON)
    known = {
        name: value.double() if value.dtype == torch.float32 else value
        for name, value in vars(asked).items()
    }
    context = known.pop("context").requires_grad_()

    def answer(vector: torch.Tensor) -> torch.Tensor:
        return tower(Requests(context=vector, **known), MATRIX.double())

    assert torch.autograd.gradcheck(answer, (context,))


def test_requests_of_events_by_loops(data: UserTowerData) -> None:
    from beauty_rec.towers.users.served import make_knowledge

    events, rows = data.events, data.valid[:40]
    encoder = ProfileEncoder.fit(data.profiles, events.users)
    known = make_knowledge(events, data.context_vectors, data.profiles, encoder, 3)
    as_of = int(events.time_ms[data.train].max())
    asked = known.requests(rows, as_of)
    for place, row in enumerate(rows):
        history = known.events.histories(np.array([row]), 3)[0]
        past = [
            (int(events.item[e]), float(events.rating[e]),
             (events.time_ms[row] - events.time_ms[e]) / 86_400_000)
            for e in history
        ]  # fmt: skip
        text = events.context[row]
        vector = None if text < 0 else known.contexts[text]
        person = data.profiles.filter(user_id=events.users[events.user[row]]).to_dicts()
        one = plain_requests(
            [past], [vector], person or [{}], encoder, [int(events.time_ms[row])], as_of, 5
        )
        part = asked[place : place + 1]
        inside = part.items[0] >= 0
        for name in ("items", "ratings", "age_days"):
            got = getattr(part, name)[0][inside]
            torch.testing.assert_close(got, getattr(one, name)[0], check_dtype=False)
        for name in ("context", "has_context", "profile", "has_profile", "moment"):
            torch.testing.assert_close(getattr(part, name), getattr(one, name))


def test_moment_is_finite_at_any_time() -> None:
    assert np.isfinite(moment(np.array([0, 10**13]), 10**12)).all()
