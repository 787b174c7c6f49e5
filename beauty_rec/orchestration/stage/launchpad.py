"""The launchpad's fields: hyper-parameters from the settings, and honest when overridden.

:class:`~beauty_rec.settings.Settings` stays the only place where a hyper-parameter, its bounds, its
description and its value are written. A stage names the settings that it reads; they become its
config, with the present values as defaults. What somebody types there holds for that one run, and
the artifact's code version then says so: for the unchanged settings it counts as stale.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import Enum as PythonEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import dagster as dg
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from beauty_rec.settings import Settings

NOT_OFFERED = (
    "encoder.device",
    *(f"llm.{name}" for name in ("serve", "gpus", "gpu_memory_utilization")),
    "llm.base_urls",
    "llm.vllm_command",
    "text_index.url",
)
"""Where a step runs is a field of the resources ``gpu`` and ``language_model``. An address and a
command are of the settings alone: somebody could put a password there, which Dagster would keep."""


class OverrideError(ValueError):
    """A value typed into the launchpad is out of its bounds; the message names both."""


def config_schema(names: Iterable[str], settings: Settings) -> dg.Field | None:
    """Return the config of a stage that reads the settings ``names``; None when it reads none.

    Args:
        names: groups or single fields of groups: ``fine_tune``, ``evaluation.seed``.
        settings: whose values are the defaults.
    """
    groups: dict[str, dict[str, dg.Field]] = {}
    for group, field in _fields(names, settings):
        shown = _field(group, field, getattr(settings, group))
        if shown is not None:
            groups.setdefault(group, {})[field] = shown
    if not groups:
        return None
    values = {
        group: {name: field.default_value for name, field in fields.items()}
        for group, fields in groups.items()
    }
    shape = {
        group: dg.Field(
            dg.Shape(fields),
            default_value=values[group],
            description=f"{type(getattr(settings, group)).__doc__} For this run only.",
        )
        for group, fields in groups.items()
    }
    return dg.Field(dg.Shape(shape), default_value=values)


def overridden(settings: Settings, config: Mapping[str, Any] | None) -> Settings:
    """Return the settings with what a run's config says.

    Raises:
        OverrideError: a value is out of bounds.
    """
    changed: dict[str, BaseModel] = {}
    for group, values in (config or {}).items():
        before = getattr(settings, group)
        current = before.model_dump(mode="json")
        different = {name: value for name, value in values.items() if current[name] != value}
        if different:
            changed[group] = _validated(group, before, different)
    return settings.model_copy(update=changed) if changed else settings


def differences(before: Settings, after: Settings) -> dict[str, Any]:
    """Return the values of ``after`` that differ, by dotted name.

    >>> settings = Settings()
    >>> differences(settings, overridden(settings, {"fine_tune": {"epochs": 9}}))
    {'fine_tune.epochs': 9}
    """
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {
        f"{group}.{name}": value
        for group, values in new.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value != old[group][name]
    }


def overridden_version(code_version: str | None, overrides: Mapping[str, Any]) -> str:
    """Return the code version of an artifact that was built with ``overrides``."""
    text = json.dumps(dict(overrides), sort_keys=True)
    return f"{code_version}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _fields(names: Iterable[str], settings: Settings) -> Iterable[tuple[str, str]]:
    for name in names:
        group, _, field = name.partition(".")
        fields = [field] if field else list(type(getattr(settings, group)).model_fields)
        yield from ((group, each) for each in fields if f"{group}.{each}" not in NOT_OFFERED)


def _field(group: str, name: str, values: BaseModel) -> dg.Field | None:
    info = type(values).model_fields[name]
    kind = _config_type(f"{group}_{name}", info.annotation)
    if kind is None:
        return None
    default = values.model_dump(mode="json")[name]
    return dg.Field(kind, is_required=False, default_value=default, description=_described(info))


def _config_type(name: str, annotation: Any) -> Any:
    """Return Dagster's config type of a setting's type; None for a secret, and for names."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _config_type(name, arguments[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = _config_type(name, next(kind for kind in arguments if kind is not NoneType))
        return None if inner is None else dg.Noneable(inner)
    if get_origin(annotation) in (tuple, list):
        return dg.Array(_config_type(name, arguments[0]))
    if get_origin(annotation) is Literal:
        return _choice(name, arguments)
    if isinstance(annotation, type) and issubclass(annotation, PythonEnum):
        return _choice(name, tuple(member.value for member in annotation))
    if annotation is SecretStr or get_origin(annotation) is dict:
        return None  # names of shops, with their folders and keys, are of the server alone
    return {int: int, float: float, bool: bool}.get(annotation, str)


@cache
def _choice(name: str, values: tuple[str, ...]) -> dg.Enum:
    # One object for one name: Dagster refuses two types of the same name.
    return dg.Enum(f"{name}_choice", [dg.EnumValue(value) for value in values])


def _described(info: FieldInfo) -> str:
    """Return the description of a setting with its bounds."""
    signs = {
        annotated_types.Ge: ("≥", "ge"),
        annotated_types.Gt: (">", "gt"),
        annotated_types.Le: ("≤", "le"),
        annotated_types.Lt: ("<", "lt"),
    }
    bounds = [
        f"{signs[type(rule)][0]} {getattr(rule, signs[type(rule)][1])}"
        for rule in info.metadata
        if type(rule) in signs
    ]
    parts = [info.description or "", ", ".join(bounds)]
    return ". ".join(part for part in parts if part)


def _validated(group: str, before: BaseModel, different: Mapping[str, Any]) -> BaseModel:
    try:
        return type(before).model_validate({**before.model_dump(), **different})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, (group, *fault['loc'])))}: {fault['msg']} "
            f"(given: {fault['input']!r})"
            for fault in error.errors()
        )
        raise OverrideError(f"in the launchpad: {problems}") from error
