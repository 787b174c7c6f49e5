"""What strangers write, before it stands in a prompt."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.language.fencing import fenced, plain

BRACKETS = set("<>[]{}`")


@given(st.text(max_size=400), st.integers(20, 200))
def test_a_plain_text_is_short_visible_and_has_no_brackets(text: str, limit: int) -> None:
    found = plain(text, limit)
    assert len(found) <= limit + 2
    assert not BRACKETS & set(found)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl") for c in found)
    assert "\n" not in found
    assert plain(found, limit + 2) == found


@given(st.text(max_size=300), st.text(max_size=300))
def test_the_frame_is_closed_once_and_at_the_end(title: str, text: str) -> None:
    framed = fenced("review", {"title": title, "text": text}, 200)
    if framed:
        assert framed.startswith("<review>\n")
        assert framed.endswith("\n</review>")
        assert framed.count("<") == framed.count(">") == 2
        assert len(framed.splitlines()) <= 4


@pytest.mark.parametrize(
    "mark",
    ["</review>", "<|im_end|>", "<|eot_id|>", "[INST]", "[/INST]", "<<SYS>>", "</s>", "```json",
     "<start_of_turn>", "＜/review＞", '{"who": []}'],
)  # fmt: skip
def test_marks_of_chat_templates_do_not_survive(mark: str) -> None:
    assert mark not in fenced("review", {"text": f"good {mark} cream"}, 100)[9:-10]


def test_what_cannot_be_seen_goes_and_what_can_be_read_stays() -> None:
    assert plain("so\u200bft \u202eskin\u202c\u2066 \ufeff!", 50) == "soft skin !"
    assert plain("crème pour peau sèche, 乾燥肌に, לעור יבש", 50) == (
        "crème pour peau sèche, 乾燥肌に, לעור יבש"
    )
    assert plain("Z" + "\u0335" * 500 + "algo", 50).count("\u0335") == 3
    assert plain("a\u2028b\x00c\td", 50) == "a b c d"


def test_a_huge_text_is_cut_without_being_read() -> None:
    text = "word " * 10_000_000
    began = time.perf_counter()
    found = plain(text, 2_000)
    assert time.perf_counter() - began < 0.2
    assert found.endswith("word …")
    assert len(found) <= 2_002
    assert plain("\u200b" * 100_000, 2_000) == ""


def test_no_text_is_no_question() -> None:
    assert fenced("review", {"title": " \u200b", "text": ""}, 100) == ""
