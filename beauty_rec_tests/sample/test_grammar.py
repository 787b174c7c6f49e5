"""Sentences of a grammar."""

from random import Random

import pytest

from beauty_rec.sample.grammar import parse, render


@pytest.mark.parametrize("template", ["[a|b", "a]", "[a|[b]"])
def test_a_lone_bracket_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match=r"unclosed|unopened"):
        parse(template)


def test_the_grammar_makes_every_sentence_and_no_other() -> None:
    phrase = parse("[I|We [all|]] like {x}[!|]")
    made = {render(phrase, {"x": "it"}, Random(n)) for n in range(200)}
    assert made == {f"{a} like it{b}" for a in ("I", "We all", "We ") for b in ("!", "")}
