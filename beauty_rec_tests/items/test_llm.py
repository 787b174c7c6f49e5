"""Item attributes by a language model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from beauty_rec.items.attributes import record_model
from beauty_rec.items.domain import Domain, load_domain
from beauty_rec.items.llm import LanguageModelAttributeExtractor
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.language.reader import Reader
from beauty_rec.settings import AttributeSettings, LanguageSettings
from beauty_rec_tests.items.test_attributes import SCHEMA, item
from beauty_rec_tests.language.stub import Stub

LONG = "A rich night cream with retinol for dry, mature skin. Free of parabens, made in Korea."


def extractor(reader: Reader, domain: Domain) -> LanguageModelAttributeExtractor:
    rules = RulesAttributeExtractor(domain, AttributeSettings())
    return LanguageModelAttributeExtractor(reader, rules, domain, 6)


def items(*rows: dict[str, Any], keywords: list[str] | None = None) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), schema=SCHEMA)
    return frame.with_columns(keywords=pl.lit(keywords or [], dtype=pl.List(pl.String)))


@pytest.mark.parametrize("name", ["beauty", "fashion"])
def test_every_item_gets_a_valid_record(
    stub: Callable[..., Stub], tmp_path: Path, name: str
) -> None:
    server, domain = stub(), load_domain(name)
    asked = items(
        item("a", "keyword: velvet cream", description=LONG, details={"Brand": "Q"}),
        item("b", "keyword: plain cream", description="Short."),
        item("c", None),
        item("d", "always broken"),
    )
    with Reader(server.settings(), tmp_path) as reader:
        found = extractor(reader, domain).extract(asked)
        again = extractor(reader, domain)
        assert again.extract(asked).equals(found)
        assert again.usage is not None
        assert again.usage.requests == 0
    assert server.requests == 4  # a: attributes and summary; b, d: attributes; c: nothing known
    assert found["parent_asin"].to_list() == ["a", "b", "c", "d"]
    rows = found.to_dicts()
    model = record_model(domain)
    for row in rows:
        model.model_validate({k: v for k, v in row.items() if k not in ("parent_asin", "source")})
    assert rows[0]["summary"] == "velvet; velvet1"
    assert rows[1]["summary"] == "Short."
    first = next(iter(domain.std["category"].values))
    assert (rows[0]["category"], rows[2]["category"]) == (first, None)
    assert rows[0][next(iter(domain.re))] == ["velvet"]
    assert set(found["source"]) == {"stub/attributes-1+summary-1"}


def test_what_fails_is_read_by_rules(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server, domain = stub("--always", "hopeless"), load_domain("beauty")
    good = item("b", "keyword: plain shampoo")
    summary = item("c", "conditioner", description=f"hopeless {LONG}")
    with Reader(server.settings(), tmp_path) as reader:
        found = extractor(reader, domain).extract(
            items(item("a", "hopeless shampoo for women"), good, summary)
        )
    rows = found.to_dicts()
    assert (rows[0]["source"], rows[0]["category"]) == ("rules/1", "shampoo")
    assert rows[1]["source"] == "stub/attributes-1+summary-1"
    assert rows[2]["source"] == "rules/1"  # its description stands in both questions
    assert "retinol" in rows[2]["summary"]


def test_new_reviews_ask_again_only_where_metadata_is_thin(
    stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server, domain = stub(), load_domain("beauty")
    rows = [item("a", "thin"), item("b", "rich", description=LONG * 3)]
    with Reader(server.settings(), tmp_path) as reader:
        extractor(reader, domain).extract(items(*rows, keywords=["soft"]))
        assert server.requests == 3
        extractor(reader, domain).extract(items(*rows, keywords=["soft", "vegan"]))
        assert server.requests == 4


def test_a_domain_of_ones_own_has_a_prompt(tmp_path: Path) -> None:
    domain = Domain.model_validate(
        {"name": "tea", "std": {"category": {"values": {"green": [], "black": []}}},
         "re": {"scent": {}, "origin": {"values": {"assam": []}}}}
    )  # fmt: skip
    with Reader(LanguageSettings(), tmp_path) as reader:
        task = extractor(reader, domain).attributes_task
    assert "- category: green, black" in task.prefix[0]["content"]
    assert json.loads(task.prefix[2]["content"]) == {
        "category": None, "scent": ["coconut"], "origin": []
    }  # fmt: skip
