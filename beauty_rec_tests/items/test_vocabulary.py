"""Ids: stable from run to run, readable on disk."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from beauty_rec.items.vocabulary import PAD, UNKNOWN, Vocabulary
from beauty_rec.settings import VocabularySettings

SETTINGS = VocabularySettings(min_count=2, max_re=4)


def frame(categories: list[str | None], scents: list[list[str]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "parent_asin": [f"i{i}" for i in range(len(categories))],
            "category": categories,
            "scent": scents,
            "summary": "",
            "source": "test",
        },
        schema_overrides={"category": pl.String, "scent": pl.List(pl.String)},
    )


FIRST = frame(
    ["soap", "soap", "balm", None, "soap", "balm"],
    [["rose", "mint"], ["rose"], ["rose", "rose"], [], ["mint"], ["oud"]],
)


def test_ids_by_kind_field_and_frequency() -> None:
    words = Vocabulary.build(FIRST, None, SETTINGS)
    told = [(e.kind, e.field, e.value, e.items) for e in words.entries]
    assert told == [
        ("std", "category", "soap", 3), ("std", "category", "balm", 2),
        ("re", "scent", "rose", 3), ("re", "scent", "mint", 2),
    ]  # fmt: skip
    assert len(words) == 7
    assert words.id_of("category", "soap") == 3
    assert words.id_of("scent", "oud") == UNKNOWN
    assert words.id_of("scent", None) == PAD


def test_encoding_pads_masks_and_knows_the_unknown() -> None:
    words = Vocabulary.build(FIRST, None, SETTINGS)
    told = words.encode(frame(["balm", "laser", None], [["mint", "oud", "rose"], [], ["oud"]]))
    assert told.std.tolist() == [[4], [UNKNOWN], [PAD]]
    assert told.re.tolist() == [[6, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert told.re_mask.sum(1).tolist() == [2, 0, 0]
    assert told.std.dtype == told.re.dtype == np.int64


def test_the_cap_takes_each_fields_first_values() -> None:
    many = frame(["soap"] * 2, [["a", "b", "c", "d", "e"]] * 2).with_columns(
        form=pl.Series([["gel", "bar"]] * 2)
    )
    words = Vocabulary.build(many, None, SETTINGS)
    values = [words.entries[i - 3].value for i in words.encode(many).re[0]]
    assert values == ["a", "gel", "b", "bar"]


def test_a_later_run_appends_and_moves_nothing() -> None:
    first = Vocabulary.build(FIRST, None, SETTINGS)
    later = frame(["laser", "laser", "soap"], [["oud"], ["oud", "rose"], []]).with_columns(
        brand=pl.Series(["lumi", "lumi", None])
    )
    second = Vocabulary.build(later, first, SETTINGS)
    assert [e[:3] for e in second.entries[:4]] == [e[:3] for e in first.entries]
    assert [e.value for e in second.entries[4:]] == ["laser", "lumi", "oud"]
    assert second.std_fields == ("category", "brand")
    assert second.id_of("category", "balm") == 4
    assert second.version != first.version
    again = Vocabulary.build(FIRST, first, SETTINGS)
    assert again.version == first.version


def test_a_field_keeps_its_kind() -> None:
    first = Vocabulary.build(FIRST, None, SETTINGS)
    lists = FIRST.with_columns(category=pl.concat_list("category"))
    with pytest.raises(ValueError, match=r"'category' was STD .* is RE .* another name"):
        Vocabulary.build(lists, first, SETTINGS)
    one = FIRST.with_columns(scent=pl.col("scent").list.first())
    with pytest.raises(ValueError, match=r"'scent' was RE .* is STD .* another name"):
        Vocabulary.build(one, first, SETTINGS)
    renamed = Vocabulary.build(lists.rename({"category": "categories"}), first, SETTINGS)
    assert renamed.re_fields == ("scent", "categories")


def test_what_was_trained_before_is_asked_with_the_ids_of_today() -> None:
    first = Vocabulary.build(FIRST, None, SETTINGS)
    later = frame(["laser", "laser", "soap"], [["oud"], ["oud", "rose"], []])
    second = Vocabulary.build(later, first, SETTINGS)
    assert first.carried_on(second) is second
    assert first.carried_on(first) is first
    # A STD value was unknown before it had an id, and a RE value was left out.
    assert [e.value for e in second.entries[len(first) - 3 :]] == ["laser", "oud"]
    assert second.stand_ins(len(first)).tolist() == [UNKNOWN, PAD]
    assert second.stand_ins(len(second)).tolist() == []
    before, now = first.encode(later), second.encode(later)
    places = np.concatenate([np.arange(len(first)), second.stand_ins(len(first))])
    assert (places[now.std] == before.std).all()
    assert [[i for i in row if i] for row in places[now.re].tolist()] == [
        [i for i in row if i] for row in before.re.tolist()
    ]
    # Other ids, or another column: then it is asked as it was trained.
    anew = Vocabulary.build(later, None, SETTINGS)
    assert first.carried_on(anew) is first
    wider = Vocabulary.build(later.with_columns(brand=pl.lit("lumi")), first, SETTINGS)
    assert first.carried_on(wider) is first
    assert second.carried_on(first) is second


def test_a_vocabulary_of_nothing() -> None:
    words = Vocabulary.build(frame([], []), None, SETTINGS)
    assert len(words) == 3
    assert words.encode(FIRST).std.tolist() == [[1], [1], [1], [0], [1], [1]]


def test_the_file_is_readable_and_guarded(tmp_path: Path) -> None:
    words = Vocabulary.build(FIRST, None, SETTINGS)
    path = tmp_path / "vocabulary.json"
    words.save(path)
    assert Vocabulary.load(path) == words
    assert '[3, "std", "category", "soap", 3]' in path.read_text()
    path.write_text(path.read_text().replace('"balm"', '"palm"'))
    with pytest.raises(ValueError, match="changed by hand"):
        Vocabulary.load(path)
    path.write_text('{"format": 9}')
    with pytest.raises(ValueError, match="format 1"):
        Vocabulary.load(path)
    Vocabulary.build(frame([], []), None, SETTINGS).save(path)
    assert len(Vocabulary.load(path)) == 3
