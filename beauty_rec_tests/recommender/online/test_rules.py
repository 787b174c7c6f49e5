"""What the shop's rules make of an answer, and what is said of a file that is not valid."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beauty_rec.items.domain import load_domain
from beauty_rec.recommender.online.recommend import recommend
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.rules.apply import ShopRules
from beauty_rec.recommender.online.rules.file import RulesError, parse_rules
from beauty_rec.recommender.online.stock.filters import Filter
from beauty_rec.serving.state.engine import Engine
from beauty_rec_tests.recommender.served_set import USER

AT = 1_600_000_000_000  # 2020-09-13T12:26:40Z
EXAMPLE = Path(__file__).parents[3] / "examples" / "rules.toml"


def ruled(engine: Engine, text: str, **question: Any) -> dict[str, Any]:
    rules = ShopRules.of(parse_rules(text, "rules.toml"), engine.shop)
    request = RecommendRequest(**{"at": AT, "user_id": USER, **question})
    return recommend(engine.shop, [request], engine.settings.serve, rules)[0]


def rule(do: str, what: str, name: str = "mine") -> str:
    return f'[[rules]]\nname = "{name}"\ndo = "{do}"\n{what}\n'


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["parent_asin"] for item in answer["items"]]


CONTEXTS = (None, "wedding", "rose soap")
"""One of each served order; the scores of the first two may be negative."""


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_factor_moves_by_places_whatever_the_scores(engine: Engine, context: str | None) -> None:
    plain = ruled(engine, "", context=context, k=300)
    place = {name: rank for rank, name in enumerate(ids(plain), 1)}
    for do, factor in (("boost", 4), ("bury", 3)):
        text = rule(do, f'factor = {factor}.0\nfilter = {{category = "soap"}}')
        answer = ruled(engine, text, context=context, k=300)
        assert sorted(ids(answer)) == sorted(ids(plain))
        times = 1 / factor if do == "boost" else factor
        wanted = sorted(
            plain["items"],
            key=lambda i: (
                place[i["parent_asin"]] * (times if i["category"] == "soap" else 1),
                (do == "bury") == (i["category"] == "soap"),
                place[i["parent_asin"]],
            ),
        )
        assert ids(answer) == [item["parent_asin"] for item in wanted]
        for item in answer["items"]:
            assert item["rules"] == (["mine"] if item["category"] == "soap" else [])


@pytest.mark.parametrize("context", CONTEXTS)
def test_pins_exclusions_and_caps(engine: Engine, context: str | None) -> None:
    plain = ids(ruled(engine, "", context=context, k=300))
    far = plain[-1]
    text = rule("pin", f'place = 2\nitems = ["{far}"]') + rule(
        "exclude", f'items = ["{plain[0]}"]', "away"
    )
    answer = ruled(engine, text, context=context, k=5)
    assert ids(answer)[1] == far
    assert answer["items"][1]["rules"] == ["mine"]
    assert plain[0] not in ids(answer)
    assert len(ids(answer)) == 5
    capped = ruled(engine, rule("cap", 'by = "category"\nmost = 1\nfirst = 5'), context=context)
    assert max(Counter(item["category"] for item in capped["items"][:5]).values()) == 1
    assert len(capped["items"]) == 10


def test_a_cap_gives_way_where_nothing_else_is_left(engine: Engine) -> None:
    text = rule("cap", 'by = "category"\nmost = 1')
    answer = ruled(engine, text, filters={"category": "soap"}, k=5)
    assert len(answer["items"]) == 5
    assert answer["notes"] == ["rules that gave way, as nothing else is left: mine"]


def test_a_pin_stays_within_what_the_shopper_asked_for(engine: Engine) -> None:
    plain = ids(ruled(engine, "", filters={"category": "soap"}))
    text = rule("pin", 'place = 1\nfilter = {category = "serum"}')
    answer = ruled(engine, text, filters={"category": "soap"})
    assert ids(answer) == plain
    assert answer["notes"] == ["rule mine: no item of it can be answered"]
    first = ids(ruled(engine, text))[0]
    assert engine.item(first)["category"] == "serum"
    seen = (engine.shop.past(USER, AT) or [])[-1].parent_asin
    assert seen not in ids(ruled(engine, rule("pin", f'place = 1\nitems = ["{seen}"]')))


def test_rules_have_the_last_word_over_diversity(engine: Engine) -> None:
    plain = ids(ruled(engine, "", k=300))
    text = rule("pin", f'place = 3\nitems = ["{plain[-1]}"]') + rule(
        "cap", 'by = "brand"\nmost = 1\nfirst = 10', "one"
    )
    answer = ruled(engine, text, diversity=0.7)
    assert ids(answer)[2] == plain[-1]
    assert max(Counter(item["brand"] for item in answer["items"]).values()) == 1


@pytest.mark.parametrize(
    ("condition", "is_on"),
    [
        ("from = 2020-09-13T14:26:40+02:00", True),
        ("from = 2020-09-13T12:26:41Z", False),
        ("until = 2020-09-13T12:26:40Z", False),
        ('until = "2020-09-13T12:26:41Z"', True),
        ("when = {context = false}", True),
        ("when = {context = true}", False),
        ("when = {user = true, kind = ['nothing']}", True),
        ("when = {user = false}", False),
        ("when = {kind = ['text', 'occasion']}", False),
    ],
)
def test_a_rule_has_its_time_and_its_asks(engine: Engine, condition: str, is_on: bool) -> None:
    text = rule("boost", f'factor = 2.0\nfilter = {{category = "soap"}}\n{condition}')
    moved = [item["rules"] for item in ruled(engine, text, k=300)["items"]]
    assert (["mine"] in moved) == is_on


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rules]\n", r"rules\.toml: not TOML: .*line 1"),
        ("\n" + rule("boots", "factor = 2.0"), r"rules\.toml line 2: rules\.0: .*'boost'"),
        (rule("pin", 'place = 0\nitems = ["a"]'), r"line 1: rules\.0\.pin\.place: .*greater than"),
        (rule("exclude", ""), "needs a filter that names something, or items"),
        (rule("exclude", "filter = {}"), "needs a filter that names something, or items"),
        (rule("exclude", 'items = ["a"]') * 2, "'mine' is the name of two rules"),
        (rule("exclude", 'items = ["a"]\nfrom = 2020-01-01T00:00:00'), "timezone"),
        (rule("exclude", 'items = ["a"]\nfrom = 20300101'), "write it as 2026-03-01T00"),
        (rule("exclude", 'items = ["a"]\nuntil = 2030-01-01'), "write it as 2026-03-01T00"),
        (rule("exclude", 'items = ["a"]\nfrom = "20300101"'), "timezone"),
        (rule("exclude", 'items = ["a"]\nfrom = "1893456000"'), "isoformat"),
        (rule("cap", 'by = "scent"\nmost = 1'), "'brand', 'category' or 'store'"),
        (rule("boost", 'factor = 0.5\nitems = ["a"]'), "greater than 1"),
        ("rule = 1", r"rules\.toml: rule: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        parse_rules(text, "rules.toml")


def categories(rule_filter: Filter) -> Iterator[str]:
    """Yield every category that a filter names, at any depth."""
    named = rule_filter.category or ()
    yield from (named,) if isinstance(named, str) else named
    parts = [rule_filter.not_, *(rule_filter.any_of or ()), *(rule_filter.all_of or ())]
    for part in parts:
        if part is not None:
            yield from categories(part)


def test_the_example_names_categories_of_the_sample() -> None:
    rules = parse_rules(EXAMPLE.read_text(encoding="utf-8"), "x")
    filters = [found for one in rules if (found := getattr(one, "filter", None)) is not None]
    named = {name for one in filters for name in categories(one)}
    assert named
    assert named <= load_domain("beauty").std["category"].values.keys()


def test_the_example_is_valid_and_works(engine: Engine) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert {one.do for one in parse_rules(text, "x")} == {"pin", "boost", "bury", "exclude", "cap"}
    answer = ruled(engine, text, user_id=None, k=10)
    assert answer["items"][0]["category"] == "soap"
    assert "our own soap first" in answer["items"][0]["rules"]
    assert max(Counter(item["brand"] for item in answer["items"]).values()) <= 2
