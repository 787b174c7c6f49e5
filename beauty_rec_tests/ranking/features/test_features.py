"""Features: one definition, counted by hand; no held-out event enters."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.ranking.features.build import Candidates, FeatureBuilder, Query, join_features
from beauty_rec.ranking.features.item_table import Described, ItemTable
from beauty_rec.ranking.features.skew import feature_skew
from beauty_rec.ranking.features.spec import RETRIEVAL, FeatureSpec
from beauty_rec.settings import RankingSettings
from beauty_rec_tests.ranking import small_shop as shop

NOTHING = np.full((1, len(RETRIEVAL)), np.nan, dtype=np.float32)


def one(query: Query, item: str) -> dict[str, float]:
    """The raw dense values of one pair, by name."""
    made = shop.builder()
    candidates = Candidates(np.zeros(1, dtype=np.int64), [item], NOTHING)
    return dict(zip(made.spec.raw, made.build([query], candidates).raw[0].tolist(), strict=True))


def test_serving_gives_the_features_of_the_frame() -> None:
    made = shop.builder()
    queries, candidates = shop.queries(), shop.candidates()
    offline = made.build(queries, candidates)
    for place, query in enumerate(queries):
        here = candidates.query_row == place
        alone = Candidates(
            np.zeros(here.sum(), dtype=np.int64),
            [item for item, taken in zip(candidates.items, here, strict=True) if taken],
            candidates.retrieval[here],
        )
        served = made.build([query], alone)
        np.testing.assert_array_equal(served.raw, offline.raw[here])
        np.testing.assert_array_equal(served.user_ids[0], offline.user_ids[place])
        np.testing.assert_array_equal(served.item_row, offline.item_row[here])


def test_queries_built_in_parts_and_items_in_a_series_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = shop.builder()
    queries, candidates = shop.queries(), shop.candidates()
    whole = made.build(queries, candidates)
    monkeypatch.setattr("beauty_rec.ranking.features.build.QUERIES_AT_ONCE", 2)
    series = Candidates(candidates.query_row, pl.Series(candidates.items), candidates.retrieval)
    rows = np.arange(3, len(candidates.items))
    for part, kept in ((series, slice(None)), (series.take(rows), rows)):
        found = made.build(queries, part)
        np.testing.assert_array_equal(found.raw, whole.raw[kept])
        np.testing.assert_array_equal(found.item_row, whole.item_row[kept])
        np.testing.assert_array_equal(found.user_ids, whole.user_ids)


def test_counts_prices_and_ages_by_hand() -> None:
    query = Query(20 * shop.DAY, ["i0", "i1", "i1"], "Wedding ", {"height_cm": 160.0})
    values = one(query, "i1")
    # i1 stands in events of days 2, 6, 9, 10, at a wedding on day 9; train ends on day 12.
    assert values["log_count"] == pytest.approx(math.log(5))
    decayed = sum(2 ** (-(12 - day) / 2) for day in (2, 6, 9, 10))
    assert values["log_popularity_2d"] == pytest.approx(math.log(0.1 + decayed))
    assert values["log_context_4d"] == pytest.approx(math.log(0.1 + 2 ** (-3 / 4)))
    # Users 0 and 1 took i1, users 0 and 3 took i0; five more each are thought of.
    assert values["history_similarity"] == pytest.approx(math.log1p(10 * 1 / 7))
    assert values["log_price"] == pytest.approx(math.log(10))
    assert values["log_age_days"] == pytest.approx(math.log(19))
    assert values["log_history"] == pytest.approx(math.log(4))
    assert values["profile_height_cm"] == 160.0
    # i1 is a gown, as are two of the three items of the history: cos((0, 1), (1, 2)).
    assert values["std_similarity"] == pytest.approx(2 / math.sqrt(5))


@pytest.mark.parametrize("price", [False, True])
def test_a_changed_price_is_seen_only_where_the_settings_say_so(price: bool) -> None:
    settings = shop.SETTINGS.model_copy(update={"price": price})
    made, catalogue = shop.builder(settings), shop.items()
    dear = catalogue.with_columns(price=3 * pl.col("price").fill_null(5))
    table = ItemTable.build(
        *(shop.attributes(), made.vocabulary, dear, shop.reviews(), shop.profiles()),
        made.spec,
        settings,
    )
    row = made.table.row_of["i1"]
    given = made.table.with_items(["i1"], made.table.sparse[[row]], np.array([99.0], np.float32))
    queries, candidates = shop.queries(), shop.candidates()
    before = made.build(queries, candidates).raw
    for other in (table, given):
        after = replace(made, table=other).build(queries, candidates).raw
        moved = [
            name
            for name, old, new in zip(made.spec.raw, before.T, after.T, strict=True)
            if not np.array_equal(old, new, equal_nan=True)
        ]
        assert moved == (["log_price"] if price else [])
    named = {name for name in made.spec.dense if "price" in name}
    assert named == ({"log_price", "log_price_missing"} if price else set())


def test_by_default_the_price_is_no_feature() -> None:
    assert not RankingSettings().price


def test_nothing_known_is_missing_not_zero() -> None:
    values = one(Query(0, [], None, {"height_cm": float("nan")}), "stranger")
    missing = ("user_tower", "popular", "log_price", "log_context_4d", "log_age_days")
    profile = ("profile_height_cm", "fit_height_cm")
    assert all(math.isnan(values[name]) for name in (*missing, *profile))
    assert (
        values["log_count"]
        == values["history_similarity"]
        == values["std_similarity"]
        == values["re_similarity"]
        == 0.0
    )


def test_missing_values_are_flagged_and_filled() -> None:
    made = shop.builder()
    raw = made.build(shop.queries(), shop.candidates()).raw
    dense = made.spec.standardise(raw)
    assert dense.shape == (len(raw), len(made.spec.dense))
    assert np.isfinite(dense).all()
    height = made.spec.raw.index("profile_height_cm")
    flag = made.spec.dense.index("profile_height_cm_missing")
    np.testing.assert_array_equal(dense[:, flag] == 1, np.isnan(raw[:, height]))
    known = dense[~np.isnan(raw[:, height]), height]
    assert known.mean() == pytest.approx(0, abs=1e-5)
    assert known.std() == pytest.approx(1, abs=1e-5)


def test_one_typing_error_takes_a_number_from_nobody() -> None:
    heights = np.random.default_rng(0).normal(170, 9, 2_000)
    names = [f"u{n}" for n in range(2_000)]

    def layout(heights: np.ndarray) -> FeatureSpec:
        people = pl.DataFrame({"user_id": names, "height_cm": heights})
        bought = pl.DataFrame(
            {"user_id": names, "context": pl.Series([None] * 2_000, dtype=pl.String)}
        )
        return FeatureSpec.layout(shop.builder().vocabulary, people, bought, shop.SETTINGS)

    clean = layout(heights)
    assert clean.number_mean == [pytest.approx(heights.mean())]
    assert clean.number_std == [pytest.approx(heights.std(ddof=1))]
    for error in (17_000.0, 8_801_234_567_890.0):
        spoilt = layout(np.array([error, *heights[1:]]))
        assert spoilt.number_mean == pytest.approx(clean.number_mean, abs=0.1)
        assert spoilt.number_std == pytest.approx(clean.number_std, abs=0.5)


def test_the_odd_value_of_one_ask_does_not_set_a_scale() -> None:
    spec = shop.builder().spec
    raw = np.random.default_rng(0).normal(size=(5_000, len(spec.raw))).astype(np.float32)
    clean = spec.fitted(raw)
    np.testing.assert_allclose(clean.std, raw.std(0), rtol=1e-5)
    typed = [spec.raw.index(name) for name in ("log_price", "profile_height_cm")]
    raw[0], raw[1, typed] = 1e6, np.nan
    spoilt = spec.fitted(raw)
    for figures in ("mean", "std"):
        found, want = (np.array(getattr(one, figures)) for one in (spoilt, clean))
        np.testing.assert_allclose(found[typed], want[typed], atol=0.02)
        assert (np.delete(found, typed) > 100).all(), "a count is believed"


def test_bins_hold_equal_shares_and_those_who_lack_a_value_have_their_own() -> None:
    made = shop.builder(shop.SETTINGS.model_copy(update={"dense_bins": 4}))
    spec, count = made.spec, len(made.spec.raw)
    raw = np.random.default_rng(0).normal(size=(400, count)).astype(np.float32)
    raw[:100, 0], raw[:, 1], raw[:, 2] = np.nan, 7.0, np.nan
    spec = spec.fitted(raw)
    own = spec.binned(raw) - 5 * np.arange(count)
    assert spec.bin_rows == 5 * count
    assert own.min() == 0
    assert own.max() == 4
    assert np.bincount(own[:, 0]).tolist() == [100, 75, 75, 75, 75]
    assert len(np.unique(own[:, 1])) == 1, "one value, one bin"
    assert (own[:, 2] == 0).all()
    assert (np.argsort(raw[:, 3], kind="stable") == np.lexsort((raw[:, 3], own[:, 3]))).all()
    beyond = spec.binned(np.full((1, count), 1e9, np.float32)) - 5 * np.arange(count)
    assert beyond.max() <= 4, "a value beyond those of train has the last bin"
    without = shop.builder(shop.SETTINGS.model_copy(update={"dense_bins": 0})).spec
    assert without.binned(raw).shape == (400, 0)


def test_history_and_profile_become_ids() -> None:
    made = shop.builder()
    words = made.vocabulary
    ids = made.build(shop.queries(), shop.candidates()).user_ids
    gown, dress = words.id_of("category", "gown"), words.id_of("category", "dress")
    assert ids[0, :3].tolist() == [gown, dress, 0]
    assert ids[0, 3] == words.id_of("context", "wedding")
    context = made.spec.user_fields["history_std"] + made.spec.user_fields["history_re"]
    assert ids[:, context].tolist() == [
        words.id_of("context", "wedding"), words.id_of("context", "work"), 0, 0,
        words.id_of("context", "date"),
    ]  # fmt: skip
    shape, height = ids[:, context + 1].tolist(), ids[:, context + 2].tolist()
    pear, apple = words.id_of("buyer_shape", "pear"), words.id_of("buyer_shape", "apple")
    assert shape == [pear, apple, apple, 0, 0]
    assert height[:2] == [words.id_of("buyer_height_cm", b) for b in ("160–170", "170–180")]
    assert height[2:] == [0, 0, 0]
    assert not ids[4, :context].any()


def test_what_has_no_id_is_read_as_nothing_said() -> None:
    """A free text, and a label of a profile: training has few that lack an id, or none."""
    made = shop.builder()
    silent = Query(20 * shop.DAY, ["i0"], None, {"shape": None})
    told = Query(20 * shop.DAY, ["i0"], "a gift for my aunt", {"shape": "hourglass"})
    none = Candidates(np.zeros(0, np.int64), [], NOTHING[:0])
    np.testing.assert_array_equal(*made.build([silent, told], none).user_ids)


def test_events_from_the_cut_on_do_not_count() -> None:
    words, settings = shop.vocabulary(), shop.SETTINGS
    known = (shop.attributes(), words, shop.items())
    rest: tuple[Any, ...] = (shop.profiles(), shop.builder().spec, settings, 8 * shop.DAY)
    early = ItemTable.build(*known, shop.reviews(), *rest).events
    only = ItemTable.build(
        *known, shop.reviews().filter(pl.col("timestamp") < 8 * shop.DAY), *rest
    ).events
    for name in ("log_count", "log_popularity", "fit", "first_ms"):
        np.testing.assert_array_equal(getattr(early, name), getattr(only, name))
    np.testing.assert_array_equal(early.similar.toarray(), only.similar.toarray())
    pairs = np.repeat([0, 1], 11), np.tile(np.arange(11), 2)
    np.testing.assert_array_equal(
        early.in_context.of_pairs(*pairs), only.in_context.of_pairs(*pairs)
    )
    with pytest.raises(ValueError, match="train reviews only"):
        ItemTable.build(*known, shop.reviews().with_columns(split=pl.lit("test")), *rest)


def test_table_and_spec_survive_the_disk(tmp_path: Path) -> None:
    made = shop.builder()
    made.table.save(tmp_path)
    made.spec.save(tmp_path / "features.json")
    again = FeatureBuilder(
        FeatureSpec.load(tmp_path / "features.json"), made.vocabulary, ItemTable.load(tmp_path)
    )
    queries, candidates = shop.queries(), shop.candidates()
    one_way, other = made.build(queries, candidates), again.build(queries, candidates)
    np.testing.assert_array_equal(one_way.raw, other.raw)
    assert again.table.events.half_lives_days.tolist() == [2]
    np.testing.assert_array_equal(one_way.user_ids, other.user_ids)


def test_an_item_that_came_since_has_its_ids_and_its_price() -> None:
    made = shop.builder()
    today = Described.of(shop.attributes(), made.vocabulary, shop.items())
    assert made.table.with_later(today) is made.table, "nothing came"
    late = ["i1", "i8"]
    early = shop.attributes().filter(~pl.col("parent_asin").is_in(late))
    events = shop.items(), shop.reviews(), shop.profiles()
    table = ItemTable.build(early, made.vocabulary, *events, made.spec, shop.SETTINGS)
    before = FeatureBuilder(made.spec, made.vocabulary, table)
    after = before.with_later(today)
    queries, candidates = shop.queries(), shop.candidates()
    old, new = before.build(queries, candidates), after.build(queries, candidates)
    whole = made.build(queries, candidates)
    same = ~np.isin(np.array(candidates.items), late)
    np.testing.assert_array_equal(
        new.item_ids[new.item_row], whole.item_ids[whole.item_row], "every item has its own"
    )
    price = made.spec.raw.index("log_price")
    np.testing.assert_array_equal(new.raw[:, price], whole.raw[:, price])
    count = made.spec.raw.index("log_count")
    assert not new.raw[~same, count].any(), "what it sold since was not learned with"
    unlike = [name.endswith("similarity") for name in made.spec.raw]  # a history has them, too
    np.testing.assert_array_equal(new.raw[same][:, ~np.array(unlike)],
                                  old.raw[same][:, ~np.array(unlike)])  # fmt: skip


def test_another_vocabulary_is_refused() -> None:
    made = shop.builder()
    spec = made.spec.model_copy(update={"vocabulary_version": "other"})
    with pytest.raises(ValueError, match="another version"):
        FeatureBuilder(spec, made.vocabulary, made.table)


def test_folds_join_each_with_its_own_items() -> None:
    made = shop.builder()
    queries, candidates = shop.queries(), shop.candidates()
    fold = made.build(queries, candidates)
    other = replace(fold, item_ids=np.zeros_like(fold.item_ids))
    both = join_features([fold, other])
    assert len(both.user_ids) == 2 * len(queries)
    half = len(candidates.items)
    np.testing.assert_array_equal(both.user_row[half:], fold.user_row + len(queries))
    np.testing.assert_array_equal(both.raw[half:], fold.raw)
    np.testing.assert_array_equal(both.item_ids[both.item_row[:half]], fold.item_ids[fold.item_row])
    assert not both.item_ids[both.item_row[half:]].any()
    with pytest.raises(ValueError, match="no fold"):
        join_features([])


def test_what_the_sources_say_is_read_as_it_is() -> None:
    made = shop.builder()
    candidates = shop.candidates()
    raw = made.build(shop.queries(), candidates).raw
    for column, name in enumerate(RETRIEVAL):
        np.testing.assert_array_equal(
            raw[:, made.spec.raw.index(name)], candidates.retrieval[:, column]
        )


def test_skew_names_what_has_moved_and_a_request_has_the_features_of_the_batch() -> None:
    made = shop.builder()
    shifts, alone = feature_skew(made, shop.queries(), shop.candidates())
    assert alone == 0.0
    assert shifts["popular"] == pytest.approx(0.0, abs=1e-4)
    candidates = shop.candidates()
    moved = replace(candidates, retrieval=candidates.retrieval + np.float32(1))
    place = made.spec.raw.index("popular")
    shifts, _ = feature_skew(made, shop.queries(), moved)
    assert shifts["popular"] == pytest.approx(1 / made.spec.std[place], rel=1e-3)


def test_some_candidates_keep_their_queries() -> None:
    candidates = shop.candidates()
    part = candidates.take(np.array([1, 6, 29]))
    assert part.query_row.tolist() == [0, 1, 4]
    assert part.items == [candidates.items[row] for row in (1, 6, 29)]
    np.testing.assert_array_equal(part.retrieval, candidates.retrieval[[1, 6, 29]])
