"""Brands of any script, and of titles of any length."""

import time

import pytest

from beauty_rec.items.brand import BrandClues, find_brands


@pytest.mark.parametrize(
    "name", ["설화수", "라네즈", "Чистая Линия", "資生堂", "हिमालय", "A 컴퍼니", "Große Öle"]
)
def test_a_brand_is_found_in_any_script(name: str) -> None:
    stated = [BrandClues(f"{name} cream {n}", [name]) for n in range(4)]
    assert find_brands(stated, set()) == [name.lower()] * 4
    unstated = [BrandClues(f"{name} {kind}", []) for kind in ("cream", "soap", "balm", "oil")]
    assert find_brands(unstated, {"cream", "soap", "balm", "oil"}) == [name.lower()] * 4


def test_brands_that_differ_in_another_script_stay_apart() -> None:
    names = ["A 컴퍼니", "A 스토어", "A"]
    clues = [BrandClues(f"{name} cream", [name]) for name in names]
    assert find_brands(clues, set()) == ["a 컴퍼니", "a 스토어", "a"]


def test_a_long_title_takes_time_by_its_length_alone() -> None:
    clues = [BrandClues(f"lumi/{kind} " + "x " * 50_000, []) for kind in ("rose", "mint")]
    start = time.perf_counter()
    assert find_brands(clues, {"x"}) == ["lumi"] * 2
    assert time.perf_counter() - start < 5
