import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from beauty_rec.keywords.schema import MAX_CHARS, MAX_WHO, ReviewKeywords, normalise


def test_keywords_are_normalised_in_order() -> None:
    found = ReviewKeywords(who=[" My\tDaughter ", "TEEN", "my daughter", " "], when=[], why=["Ω"])
    assert found.who == ["my daughter", "teen"]
    assert found.why == ["ω"]


def test_bounds_hold_after_repeats_are_gone() -> None:
    assert ReviewKeywords(who=["a"] * 100, when=[], why=[]).who == ["a"]
    with pytest.raises(ValidationError):
        ReviewKeywords(who=[f"w{i}" for i in range(MAX_WHO + 1)], when=[], why=[])
    with pytest.raises(ValidationError):
        ReviewKeywords(who=["x" * (MAX_CHARS + 1)], when=[], why=[])


@pytest.mark.parametrize("value", ["teen", None, [1], {"a": 1}])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        ReviewKeywords.model_validate({"who": value, "when": [], "why": []})


def test_unknown_and_missing_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        ReviewKeywords.model_validate({"who": [], "when": [], "why": [], "how": []})
    with pytest.raises(ValidationError):
        ReviewKeywords.model_validate({"who": []})


def test_json_schema_bounds_what_a_model_may_write() -> None:
    schema = ReviewKeywords.model_json_schema()
    assert schema["required"] == ["who", "when", "why"]
    assert schema["additionalProperties"] is False
    for facet in schema["properties"].values():
        assert facet["maxItems"] <= 32
        assert facet["items"]["maxLength"] == MAX_CHARS


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once.isprintable()
