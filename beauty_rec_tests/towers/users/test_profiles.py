import numpy as np
import polars as pl
import pytest

from beauty_rec.towers.users.profiles import ProfileEncoder, align

PEOPLE = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "held out"],
        "height": [150.0, 170.0, None, 9_999.0],
        "body": ["pear", "apple", None, "unheard of"],
    }
)


@pytest.fixture
def encoder() -> ProfileEncoder:
    return ProfileEncoder.fit(PEOPLE, ["a", "b", "c"])


def test_statistics_are_of_the_given_users_alone(encoder: ProfileEncoder) -> None:
    assert encoder.mean == [160.0]
    assert encoder.deviation == [10.0]
    assert encoder.values == {"body": ["apple", "pear"]}


def test_encode(encoder: ProfileEncoder) -> None:
    #  z, missing, apple, pear; the held-out giant is clipped, the unknown value is missing
    want = [[-1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0], [3, 0, 0, 0]]
    assert encoder.encode(PEOPLE).tolist() == want
    assert encoder.width == 4
    assert encoder.known(encoder.encode(PEOPLE)).tolist() == [True, True, False, True]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "no number"])
def test_a_value_that_is_no_number_is_missing(encoder: ProfileEncoder, value: object) -> None:
    encoded = encoder.encode_plain([{"height": value}])[0]
    assert encoded.tolist() == [0, 1, 0, 0]
    assert not encoder.known(encoded[None])[0]


def test_an_empty_person_and_unknown_columns(encoder: ProfileEncoder) -> None:
    assert encoder.encode_plain([{}]).tolist() == [[0, 1, 0, 0]]
    assert encoder.encode_plain([{"shoe": 3, "body": "pear"}]).tolist() == [[0, 1, 0, 1]]


def test_nobody_has_a_profile() -> None:
    encoder = ProfileEncoder.fit(PEOPLE, [])
    assert np.isfinite(encoder.encode(PEOPLE)).all()
    none = ProfileEncoder.fit(PEOPLE.select("user_id"), ["a"])
    assert none.encode(PEOPLE).shape == (4, 0)
    assert not none.known(none.encode(PEOPLE)).any()


def test_align_keeps_the_order_and_gives_nulls() -> None:
    found = align(PEOPLE, ["c", "nobody", "a"])
    assert found["height"].to_list() == [None, None, 150.0]


def test_json_round_trip(encoder: ProfileEncoder) -> None:
    assert ProfileEncoder.from_json(encoder.to_json()) == encoder


@pytest.mark.parametrize("error", [17_000.0, 8_801_234_567_890.0])
def test_one_typing_error_takes_a_column_from_nobody(error: float) -> None:
    heights = np.random.default_rng(0).normal(170, 9, 2_000)
    people = pl.DataFrame({"user_id": [f"u{n}" for n in range(2_000)], "height": heights})
    clean = ProfileEncoder.fit(people, people["user_id"].to_list())
    assert clean.mean == [float(heights.mean())]
    assert clean.deviation == [float(heights.std())]
    heights[0] = error
    spoilt = ProfileEncoder.fit(
        people.with_columns(height=pl.Series(heights)), people["user_id"].to_list()
    )
    asked = [{"height": 155.0}, {"height": 170.0}, {"height": 188.0}]
    np.testing.assert_allclose(spoilt.encode_plain(asked), clean.encode_plain(asked), atol=0.06)
