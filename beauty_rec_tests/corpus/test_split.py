import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.corpus.split import OFFICIAL_CUTS_MS, Cuts, SplitError, cut_times, split_reviews
from beauty_rec.settings import CorpusSettings

DEFAULT = CorpusSettings()


def counts(times, cuts):
    frame = split_reviews(pl.DataFrame({"timestamp": times}), cuts)
    return [frame["split"].to_list().count(name) for name in ("train", "valid", "test")]


def test_distinct_times_give_the_shares():
    times = list(range(1000))[::-1]
    assert counts(times, cut_times(pl.Series(times), DEFAULT)) == [800, 100, 100]


def test_shares_that_floats_cannot_hold():
    settings_ = CorpusSettings(train_share=0.7, valid_share=0.1)
    assert counts(range(10), cut_times(pl.Series(range(10)), settings_)) == [7, 1, 2]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=60))
def test_ties_lie_on_one_side_and_behind_the_cut(times):
    try:
        cuts = cut_times(pl.Series(times), DEFAULT)
    except SplitError:
        return
    train, valid, test = counts(times, cuts)
    assert min(train, valid, test) > 0
    assert train + valid + test == len(times)
    # A split never takes more than its share: ties move to the later one.
    assert train <= 0.8 * len(times)
    assert train + valid <= 0.9 * len(times) + 1e-9
    assert sorted(times)[train] == cuts.train_end_ms
    assert sorted(times)[train + valid] == cuts.valid_end_ms


def test_explicit_cuts_win():
    times = pl.Series([OFFICIAL_CUTS_MS[0] - 1, *OFFICIAL_CUTS_MS])
    given_ = CorpusSettings(train_end_ms=OFFICIAL_CUTS_MS[0], valid_end_ms=OFFICIAL_CUTS_MS[1])
    cuts = cut_times(times, given_)
    assert cuts == Cuts(*OFFICIAL_CUTS_MS)
    assert counts(times.to_list(), cuts) == [1, 1, 1]


@pytest.mark.parametrize(
    ("times", "changes", "split"),
    [
        ([7] * 50, {}, "train"),
        ([1] * 40 + [2] * 60, {}, "valid"),
        (range(100), {"valid_end_ms": 200}, "test"),
        (range(100), {"train_end_ms": 95, "valid_end_ms": 50}, "valid"),
    ],
)
def test_an_empty_split_is_an_error_that_names_it(times, changes, split):
    with pytest.raises(SplitError, match=f"'{split}' would have no rows"):
        cut_times(pl.Series(times), CorpusSettings(**changes))


def test_cuts_are_no_remedy_for_reviews_of_one_moment():
    with pytest.raises(SplitError, match=r"100 reviews of 1 moment .*needs three") as refused:
        cut_times(pl.Series([1_600_000_000_000] * 100), DEFAULT)
    assert "cuts of your own" not in str(refused.value)


def test_no_reviews_and_impossible_shares():
    with pytest.raises(SplitError, match="no reviews"):
        cut_times(pl.Series([], dtype=pl.Int64), DEFAULT)
    with pytest.raises(ValueError, match="nothing for test"):
        CorpusSettings(train_share=0.9, valid_share=0.1)
