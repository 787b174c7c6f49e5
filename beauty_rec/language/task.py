"""A task: one prompt with one form of answer. A question: one text for a task."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel

from beauty_rec.language.answers import RULES_VERSION, read_answer
from beauty_rec.language.fencing import fenced
from beauty_rec.language.prompt import Prompt

Message = dict[str, str]


@dataclass(frozen=True)
class Task:
    """What is asked of every text; the prompt's examples have to pass the same check."""

    prompt: Prompt
    answer_model: type[BaseModel]
    max_chars: int
    """Of each field of a text; the rest is cut."""

    @cached_property
    def response_format(self) -> dict[str, Any]:
        """The request's ``response_format``: the JSON schema of the answer."""
        schema = self.answer_model.model_json_schema()
        schema.pop("description", None)  # the class's docstring is not for the model
        return {
            "type": "json_schema",
            "json_schema": {"name": self.prompt.name, "schema": schema, "strict": True},
        }

    @cached_property
    def prefix(self) -> list[Message]:
        """The messages that all questions share.

        Raises:
            BadAnswer: an example's answer does not pass the check of answers.
        """
        messages = [{"role": "system", "content": self.prompt.instructions}]
        for example in self.prompt.examples:
            answer = json.dumps(example.answer, ensure_ascii=False, separators=(",", ":"))
            read_answer(answer, self.answer_model)
            asked = self.question(example.input)
            messages.append({"role": "user", "content": asked.content if asked else ""})
            messages.append({"role": "assistant", "content": answer})
        return messages

    @cached_property
    def fingerprint(self) -> bytes:
        """Hash of all that questions share: prompt and version, examples, schema, bounds, rules."""
        shared: list[Any] = [
            self.prompt.label,
            self.prefix,
            self.response_format,
            self.prompt.max_tokens,
        ]
        if RULES_VERSION > 1:  # what was paid for before there were versions is of the first
            shared.append(RULES_VERSION)
        return blake2b(json.dumps(shared, sort_keys=True).encode(), digest_size=16).digest()

    def question(self, fields: Mapping[str, str]) -> "Question | None":
        """Return the question about a text of strangers, or None where there is no text."""
        content = fenced(self.prompt.tag, fields, self.max_chars)
        return Question(self, content) if content else None


@dataclass(frozen=True, slots=True)
class Question:
    """One text, fenced, and what is asked of it."""

    task: Task
    content: str

    def messages(self, fault: str | None = None) -> list[Message]:
        """Return the messages; ``fault`` says, in our words, what an earlier answer had wrong."""
        content = self.content
        if fault is not None:
            content += (
                f"\nAn earlier answer was refused: {fault}. Answer again: one short JSON object "
                "of the schema, plain words only."
            )
        return [*self.task.prefix, {"role": "user", "content": content}]

    def key(self, model: str, seed: int) -> bytes:
        """Return 16 bytes that stand for this question to this model."""
        digest = blake2b(self.task.fingerprint, digest_size=16)
        digest.update(f"{model}\0{seed}\0{self.content}".encode())
        return digest.digest()
