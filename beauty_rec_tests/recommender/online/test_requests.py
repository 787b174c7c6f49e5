"""Requests that are wrong without measure are told so by few faults, not one for each value."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from beauty_rec.recommender.online.requests import BatchRequest, Events, RecommendRequest
from beauty_rec.recommender.online.values import MAX_FAULTS, MAX_UNKNOWN
from beauty_rec.recommender.sources import SOURCES
from beauty_rec.serving.http.schema import ItemChange, NewItems

TOLD = 100
"""Faults at most that an answer is made of; it names 20."""
NAMES = {f"n{number}": 1 for number in range(100_000)}
FEW_NAMES = {f"n{number}": 1 for number in range(MAX_UNKNOWN)}


def items(**given: Any) -> dict[str, Any]:
    return {"items": [{"parent_asin": f"i{n}", "title": "t", **given} for n in range(100)]}


WRONG: list[tuple[Any, Any]] = [
    (RecommendRequest, NAMES),
    (RecommendRequest, {"profile": NAMES}),
    (RecommendRequest, {"history": [FEW_NAMES] * 1_000}),
    (RecommendRequest, {"history": [NAMES] * 10}),
    (RecommendRequest, {"history": [{"parent_asin": 1, "rating": 9, "timestamp": -1}] * 1_000}),
    (RecommendRequest, {"filters": {"price": NAMES}}),
    (ItemChange, NAMES),
    (NewItems, items(**FEW_NAMES)),
    (NewItems, items(details={f"n{number}": 1 for number in range(100)})),
    (NewItems, {"items": [{"details": NAMES, "attributes": NAMES}]}),
    (NewItems, items(attributes={"scent": [1] * 5_000})),
    (Events, NAMES),
    (Events, [NAMES]),
]


@pytest.mark.parametrize(("kind", "body"), WRONG)
def test_a_body_without_measure_makes_few_faults(kind: Any, body: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(body)
    assert refused.value.error_count() <= 2 * TOLD


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("cre\u0300me for wed\xadding", "crème for wedding"),
        ("rose&nbsp;<b>soap</b>", "rose soap"),
        ("\u200b\xad&nbsp;<br>", None),
        ("", None),
    ],
)
def test_a_context_is_read_as_those_of_the_events(given: str, read: str | None) -> None:
    assert RecommendRequest(context=given).context == read
    assert BatchRequest(user_ids=["u"], context=given).context == read


def test_a_profile_is_read_as_those_of_a_file() -> None:
    profile = {"body_type": "hour\xadglass&nbsp;", "skin": "cre\u0300me", "height_cm": 168}
    read = {"body_type": "hourglass", "skin": "crème", "height_cm": 168}
    assert RecommendRequest.model_validate({"profile": profile}).profile == read


def test_faults_are_told_one_by_one_as_long_as_they_are_few() -> None:
    with pytest.raises(ValidationError) as refused:
        RecommendRequest.model_validate({**FEW_NAMES, "history": [{"rating": 3.0}] * 500, "k": 0})
    places = [fault["loc"] for fault in refused.value.errors()]
    assert ("n3",) in places
    assert ("k",) in places
    assert ("history", 499, "event", "parent_asin") in places
    assert len(places) == MAX_UNKNOWN + 501 <= MAX_FAULTS


def test_the_default_of_every_field_may_be_given() -> None:
    for name, said in RecommendRequest().model_dump(mode="json").items():
        assert RecommendRequest.model_validate({name: said}) == RecommendRequest(), name


def test_all_sources_may_be_named_and_they_are_those_that_there_are() -> None:
    assert RecommendRequest.model_validate({"sources": list(SOURCES)}) == RecommendRequest()
    with pytest.raises(ValidationError):
        RecommendRequest.model_validate({"sources": [*SOURCES, "popular"]})
