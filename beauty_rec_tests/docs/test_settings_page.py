"""The reference of settings is what the settings say."""

import runpy

import pytest
from pydantic import BaseModel

from beauty_rec.settings import Settings
from beauty_rec_tests.docs.pages import DOCS, Page

PAGE = (DOCS / "settings.md").read_text(encoding="utf-8")
GROUPS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}


def test_the_page_is_the_one_that_the_settings_write() -> None:
    page = runpy.run_path(str(DOCS / "settings_page.py"))["settings_page"]()
    assert page == PAGE, "write it anew: make docs, or python docs/settings_page.py"


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_of_a_group_is_explained(group: str) -> None:
    assert group in Page.read(DOCS / "settings.md").anchors
    for name, field in GROUPS[group].model_fields.items():
        assert field.description, f"{group}.{name} has no description"
        assert f"| `{group}.{name}` |" in PAGE


def test_bounds_choices_and_defaults_stand_as_an_operator_writes_them() -> None:
    for row in (
        "| `serve.port` | `8000` | integer, ≥ 0, ≤ 65,535 | 0: any free one |",
        "| `item_index.m` | `20` | integer, ≥ 2, ≤ 100 | links of a node |",
        "| `llm.serve` | `false` | true or false | ",
        "| `llm.backend` | `rules` | `rules` or `openai` | ",
        "| `ranking.hidden` | `[64, 32]` | list of integers, each ≥ 1, length ≥ 1 | ",
        "| `serve.api_key` | unset | secret, length ≥ 16 | ",
    ):
        assert row in PAGE, row
