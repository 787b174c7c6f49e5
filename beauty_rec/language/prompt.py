"""Prompts: TOML files with a version, instructions, and worked examples.

What all questions share stands first (instructions, examples), so that a server's prefix cache
serves it; the text in question comes last.
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Example(BaseModel):
    """A worked example: fields of an input, and the right answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: str | None = Field(None, description="the item domain that it belongs to")
    input: dict[str, str]
    answer: dict[str, Any]


class PromptFile(BaseModel):
    """The layout of a prompt's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z_]+$")
    version: str = Field(description="raised with every change that is meant to change answers")
    tag: str = Field(pattern=r"^[a-z]+$", description="of the frame around what strangers wrote")
    max_tokens: int = Field(ge=16, le=4096, description="of the answer")
    instructions: str
    examples: list[Example]


@dataclass(frozen=True)
class Prompt:
    """A prompt, its variables filled in."""

    name: str
    version: str
    tag: str
    max_tokens: int
    instructions: str
    examples: tuple[Example, ...]

    @property
    def label(self) -> str:
        """Name and version, such as ``keywords-1``."""
        return f"{self.name}-{self.version}"


def load_prompt(package: str, name: str, **variables: str) -> Prompt:
    """Read ``prompts/<name>.toml`` of a package, such as ``beauty_rec.keywords``.

    Args:
        package: where it lies.
        name: of the file.
        variables: what stands for ``$name`` in the instructions.

    Raises:
        ValueError: the file is no prompt, or a variable is missing; the message names it.
    """
    path = files(package) / "prompts" / f"{name}.toml"
    try:
        given = PromptFile.model_validate(tomllib.loads(path.read_text("utf-8")))
        instructions = Template(given.instructions).substitute(variables)
    except (tomllib.TOMLDecodeError, ValidationError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return Prompt(
        given.name,
        given.version,
        given.tag,
        given.max_tokens,
        instructions.strip(),
        tuple(given.examples),
    )
