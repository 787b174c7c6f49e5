"""What events say of items, against slow loops."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.ranking.features.co_purchase import Company, co_purchase
from beauty_rec.ranking.features.item_events import BIN_WIDTH, BINS, SMOOTHING_BINS, ItemEvents
from beauty_rec.ranking.features.item_table import ItemTable
from beauty_rec.settings import RankingSettings
from beauty_rec_tests.ranking import small_shop as shop

EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 4)), max_size=30)


@given(EVENTS, st.sampled_from([0.0, 2.0]))
def test_co_purchase_is_the_shrunk_cosine(events: list[tuple[int, int]], shrinkage: float) -> None:
    user = np.array([u for u, _ in events], dtype=np.int64)
    item = np.array([i for _, i in events], dtype=np.int64)
    found = co_purchase(user, item, 5, shrinkage=shrinkage).toarray()
    buyers = [{u for u, i in events if i == wanted} for wanted in range(5)]
    for a in range(5):
        for b in range(5):
            sizes = (len(buyers[a]) + shrinkage) * (len(buyers[b]) + shrinkage)
            both = len(buyers[a] & buyers[b])
            wanted = both / math.sqrt(sizes) if a != b and both else 0.0
            assert found[a, b] == pytest.approx(wanted, abs=1e-6)


def test_co_purchase_keeps_the_nearest() -> None:
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 20, 200), rng.integers(0, 12, 200)
    whole = co_purchase(user, item, 12, shrinkage=1).toarray()
    pruned = co_purchase(user, item, 12, shrinkage=1, neighbours=3).toarray()
    for row, kept in zip(whole, pruned, strict=True):
        assert np.count_nonzero(kept) <= 3
        np.testing.assert_allclose(np.sort(kept)[-3:], np.sort(row)[-3:])


def test_one_user_of_many_events_is_company_of_the_latest_alone() -> None:
    user, days = ["guest"] * 150 + ["v", "v"], [*range(150), 0, 1]
    events = pl.DataFrame({"user_id": user, "timestamp": [day * shop.DAY for day in days]})
    item = np.array([*range(150), 3, 4])
    profiles, spec = shop.profiles(), shop.builder().spec
    found = ItemEvents.build(
        events, item, 150, profiles, spec, 150 * shop.DAY, RankingSettings(max_user_events=100)
    )
    company = np.diff(found.similar.indptr)
    assert (company[[3, 4]] == 1).all()  # of another user
    assert not np.delete(company[:50], [3, 4]).any()
    assert (company[50:150] == 99).all()
    assert np.expm1(found.log_count[:3]) == pytest.approx(1)  # each has been sold all the same


def test_history_similarity_sums_over_the_history() -> None:
    events = shop.builder().table.events
    dense = events.similar.toarray()
    histories = [np.array([0, 1]), np.array([], dtype=np.int64), np.array([2, 5])]
    query, item = np.repeat([0, 1, 2], 11), np.tile(np.arange(11), 3)
    found = events.history_similarity(histories, query, item)
    for q, i, value in zip(query, item, found, strict=True):
        wanted = math.log1p(10 * sum(dense[past, i] for past in histories[q]))
        assert value == pytest.approx(wanted, rel=1e-5)
    assert not events.history_similarity([], query[:0], item[:0]).size


def test_fit_is_the_smoothed_share_of_buyers_like_the_user() -> None:
    made = shop.builder()
    spec, events = made.spec, made.table.events
    scaled = {
        user: (height - spec.number_mean[0]) / spec.number_std[0]
        for user, height in shop.profiles().select("user_id", "height_cm").iter_rows()
        if height is not None and not math.isnan(height)
    }
    assert set(scaled) == {"u0", "u1"}
    step = np.arange(BINS)
    counts = np.zeros((11, BINS))
    end = 12 * shop.DAY + 1
    for user, item, time in (
        shop.reviews().select("user_id", "parent_asin", "timestamp").iter_rows()
    ):
        if user in scaled:
            place = int((scaled[user] + 3) // BIN_WIDTH)
            bell = [math.exp(-0.5 * ((place - s) / SMOOTHING_BINS) ** 2) for s in step]
            weight = 2 ** (-((end - time) / shop.DAY) / shop.SETTINGS.fit_half_life)
            counts[int(item[1:])] += weight * np.array(bell) / sum(bell)
    share = (counts.sum(0) + 1) / (counts.sum() + BINS)
    prior = shop.SETTINGS.prior_events
    wanted = np.log((counts + prior * share) / (counts.sum(1, keepdims=True) + prior) / share)
    np.testing.assert_allclose(events.fit[0].T, wanted, atol=1e-5)
    found = events.profile_fit(
        0, np.array([scaled["u0"], np.nan], np.float32), np.array([0, 1]), np.array([1, 1])
    )
    assert found[0] == pytest.approx(wanted[1, int((scaled["u0"] + 3) // BIN_WIDTH)], abs=1e-5)
    assert math.isnan(found[1])


def test_events_of_unknown_items_and_users_add_nothing() -> None:
    events = shop.builder().table.events
    assert events.log_count[-1] == 0
    assert events.similar[[10], :].nnz == 0
    assert isinstance(events.contexts, list)
    assert pl.Series(events.contexts).to_list() == ["wedding", "work"]


def test_co_purchase_in_parts_is_that_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    user, item = rng.integers(0, 60, 900), rng.integers(-1, 40, 900)
    whole = co_purchase(user, item, 40, shrinkage=2, neighbours=7)
    monkeypatch.setattr("beauty_rec.ranking.features.co_purchase.PAIRS_AT_ONCE", 500)
    parts = list(Company.of(user, item, 40).blocks())
    assert len(parts) > 5
    assert np.concatenate(parts).tolist() == list(range(40))
    again = co_purchase(user, item, 40, shrinkage=2, neighbours=7)
    np.testing.assert_array_equal(again.toarray(), whole.toarray())


def test_what_is_known_of_the_others_is_not_copied_for_a_new_item() -> None:
    table = shop.builder().table
    before = table.events
    columns = table.sparse.shape[1]

    def grown(*names: str) -> ItemTable:
        ids, prices = np.zeros((len(names), columns), np.int32), np.zeros(len(names), np.float32)
        return table.with_items([*names], ids, prices)

    pairs = np.repeat([0, 1], 13), np.tile(np.arange(13), 2)
    for names, shared in ((("new", "newer"), True), (("new", "i1"), False)):
        after = grown(*names).events
        order = [*range(10), *table.rows(names), 10]
        np.testing.assert_array_equal(
            after.similar.toarray(), before.similar.toarray()[order][:, order]
        )
        for one, other in zip(
            after.in_context.of_pairs(*pairs),
            before.in_context.of_pairs(pairs[0], np.array(order)[pairs[1]]),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
        for mine, theirs in (
            (after.similar.data, before.similar.data),
            (after.similar.indices, before.similar.indices),
            (after.in_context.log_count, before.in_context.log_count),
        ):
            assert np.shares_memory(mine, theirs) == shared
