"""Writes `settings.md` from the settings themselves: run it after a change of a setting.

python docs/settings_page.py
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.settings import Settings

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Every setting with its default, its bounds and what it means. This page is written by
`docs/settings_page.py` from `beauty_rec/settings/`.

A value is taken from the first of these that has it:

1. the command: `--set group.name=value`
2. the environment: `BEAUTY_REC_GROUP__NAME=value`; a variable that is empty counts as unset
3. `settings.json` of the data folder: what `beauty-rec run` was given
4. the presets of the synthetic sample, where no reviews are named
5. the presets of the profile: `sample` or `full`
6. the default on this page

**Lists** and objects are JSON, on the command line (`--set 'ranking.hidden=[64, 32]'`) and in the
environment (`BEAUTY_REC_SERVE__ALLOWED_HOSTS='["shop.example.com"]'`). Only `llm.base_urls` may
also be parted by commas, after `--set`.

**Kept.** `beauty-rec run` keeps what it was given, by `--set` or by the environment, in
`settings.json` for the commands after it, a trial's settings as well: what was chosen, never the
presets. `--set llm.max_items=null` takes an optional setting back (one that is *unset* below), any
other is given the value that it had before. A setting that is deleted in the file is forgotten.
Each shop has a data folder of its own (`--data-dir`), and with it settings of its own.

An unknown name or a value out of bounds is an error that names it. Secrets are never kept in the
data folder and never shown.

## Top level

Given without a group: `--set profile=full`, `BEAUTY_REC_PROFILE=full`.
"""
TABLE = "| setting | default | values | meaning |\n|---|---|---|---|\n"
SIGNS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))


def settings_page() -> str:
    """Return the page as Markdown."""
    plain, sections = [], []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            rows = [_row(f"{name}.", n, f) for n, f in group.model_fields.items()]
            about = " ".join((group.__doc__ or "").split())
            sections.append(f"\n## {name}\n\n{about}\n\n{TABLE}{''.join(rows)}")
        else:
            plain.append(_row("", name, field))
    return f"{HEAD}\n{TABLE}{''.join(plain)}{''.join(sections)}"


def _row(prefix: str, name: str, field: FieldInfo) -> str:
    cells = (
        f"`{prefix}{name}`",
        _default(field.get_default(call_default_factory=True)),
        _values(field),
        field.description or "",
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _default(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, tuple):
        return f"`{json.dumps(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(field: FieldInfo) -> str:
    """Return the type and the bounds of a field in words."""
    bounds = _bounds(field)
    for member in get_args(field.annotation):
        if get_origin(member) is Annotated:  # of each value of a list
            of_each = [rule for rule in get_args(member) if isinstance(rule, FieldInfo)]
            bounds += [f"each {bound}" for rule in of_each for bound in _bounds(rule)]
    for rule in field.metadata:
        if isinstance(rule, MinLen):
            bounds.append(f"length ≥ {rule.min_length}")
        if isinstance(rule, MaxLen):
            bounds.append(f"length ≤ {rule.max_length}")
        if pattern := getattr(rule, "pattern", None):
            bounds.append(f"`{pattern}`")
    return ", ".join([_kind(field.annotation), *bounds])


def _bounds(field: FieldInfo) -> list[str]:
    return [
        f"{sign} {getattr(rule, attribute):,}"
        for kind, attribute, sign in SIGNS
        for rule in field.metadata
        if isinstance(rule, kind)
    ]


def _kind(annotation: Any) -> str:
    """Return a type as an operator writes it."""
    text = str(annotation)
    if "Literal[" in text:
        return " or ".join(f"`{choice}`" for choice in re.findall(r"'([^']+)'", text))
    for of, word in ((SecretStr, "secret"), (Path, "path")):
        if of.__name__ in text:
            return word
    listed = "tuple" in text
    names = {"bool": "true or false", "int": "integer", "float": "number", "str": "text"}
    for name, word in names.items():
        if re.search(rf"\b{name}\b", text):
            return f"list of {word}s" if listed and name != "bool" else word
    raise TypeError(f"no words for {annotation}")


if __name__ == "__main__":
    write_text_atomic(PAGE, settings_page())
