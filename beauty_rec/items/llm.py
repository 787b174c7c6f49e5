"""Item attributes and description summaries by a language model; rules where it fails."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from beauty_rec.items.attributes import attributes_frame, is_thin, record_model
from beauty_rec.items.domain import Domain
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.language.answers import EnglishKeyword, ascii_folded
from beauty_rec.language.prompt import Example, Prompt, load_prompt
from beauty_rec.language.reader import Reader
from beauty_rec.language.task import Question, Task
from beauty_rec.language.usage import Usage
from beauty_rec.row_cache import Reuse, nothing_reused

MAX_SHOPPER_KEYWORDS = 20
SHORT_CHARS = 60
"""A shorter description is its own summary."""


def _one_line(value: Any) -> Any:
    return " ".join(ascii_folded(value).split()) if isinstance(value, str) else value


_Brand = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 '&.!+/-]{0,49}$"),
    BeforeValidator(_one_line),
]  # fmt: skip
_Phrase = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ,'%&+./-]{2,99}$"),
    BeforeValidator(_one_line),
]  # fmt: skip


class Summary(BaseModel):
    """What a model is asked for about a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrases: Annotated[list[_Phrase], Field(min_length=2, max_length=5)]


class _Asked(NamedTuple):
    row: dict[str, Any]
    attributes: Question | None
    summary: Question | None


class LanguageModelAttributeExtractor:
    """Asks for the attributes of each item and, apart, for a summary of its description.

    Two questions, since a description stays while shoppers' keywords change. Items without any
    text are not asked. What was quarantined, or lies beyond ``llm.max_items``, is read by
    ``fallback``, and ``source`` says so.
    """

    def __init__(
        self, reader: Reader, fallback: RulesAttributeExtractor, domain: Domain, max_values: int
    ) -> None:
        """Args:

        reader: asks and stores.
        fallback: for what the model could not read.
        domain: the attributes to fill in.
        max_values: of a reinforced attribute.
        """
        self.domain = domain
        self._reader = reader
        self._fallback = fallback
        self._max_values = max_values
        self._answer_model = asked_model(domain, max_values)
        chars = reader.settings.max_item_chars
        self.attributes_task = Task(
            _attributes_prompt(domain, self._answer_model, max_values), self._answer_model, chars
        )
        self.summary_task = Task(load_prompt("beauty_rec.items", "summary"), Summary, chars)
        labels = f"{self.attributes_task.prompt.label}+{self.summary_task.prompt.label}"
        self.source = f"{reader.settings.model}/{labels}"
        self.usage: Usage | None = None
        """Of the last :meth:`extract`."""

    def extract(self, items: pl.DataFrame, reused: Reuse = nothing_reused) -> pl.DataFrame:
        """See :class:`beauty_rec.items.attributes.AttributeExtractor`.

        Raises:
            Stopped, ServerProblem: as :meth:`beauty_rec.language.reader.Reader.read`.
        """
        limit = self._reader.settings.max_items
        asked = items.height if limit is None else min(limit, items.height)
        pairs = ((a.attributes, a.summary) for a in islice(self._asked(items), asked))
        questions = (q for pair in pairs for q in pair if q is not None)
        # Twice as many where every item has a description; the bar need not know.
        self.usage = self._reader.read(questions, None, "item attributes")
        return self._stored(items, asked, reused)

    def _stored(self, items: pl.DataFrame, asked: int, reused: Reuse) -> pl.DataFrame:
        records: dict[str, BaseModel] = {}
        unsummed: list[str] = []
        model = record_model(self.domain)
        for given in islice(self._asked(items), asked):
            found = self._record(given)
            if found is None:
                continue
            record, has_summary = found
            asin = given.row["parent_asin"]
            records[asin] = model.model_validate(record)
            if not has_summary:
                unsummed.append(asin)
        read = attributes_frame(list(records), list(records.values()), self.domain, self.source)
        left = items.filter(
            ~pl.col("parent_asin").is_in(list(records)) | pl.col("parent_asin").is_in(unsummed)
        )
        by_rules = self._fallback.extract(left, reused)
        if unsummed:
            read = _with_summaries(read, by_rules, unsummed)
        rest = by_rules.filter(~pl.col("parent_asin").is_in(list(records)))
        frame = pl.concat([read, rest])
        return items.select("parent_asin").join(frame, on="parent_asin", maintain_order="left")

    def _record(self, given: _Asked) -> tuple[dict[str, Any], bool] | None:
        """Return an item's record and whether its summary is there; None without an answer."""
        record: dict[str, Any] = {}
        if given.attributes is not None:
            answer = self._reader.answer(given.attributes)
            if answer is None:
                return None
            record = answer.model_dump()
        if given.summary is None:
            record["summary"] = " ".join((given.row["description"] or "").split())
            return record, True
        summary = self._reader.answer(given.summary)
        if isinstance(summary, Summary):
            record["summary"] = "; ".join(summary.phrases)
        return record, isinstance(summary, Summary)

    def _asked(self, items: pl.DataFrame) -> Iterator[_Asked]:
        for row in items.iter_rows(named=True):
            description = row["description"] or ""
            summary = None
            if len(description) >= SHORT_CHARS:
                given = {"title": row["title"] or "", "description": description}
                summary = self.summary_task.question(given)
            yield _Asked(row, self.attributes_task.question(_fields(row)), summary)


def asked_model(domain: Domain, max_values: int) -> type[BaseModel]:
    """Return the model of the attributes that a language model is asked for, all required."""
    fields: dict[str, Any] = {}
    for name, std in domain.std.items():
        admitted = Literal[tuple(std.values)] if std.kind == "closed" else _Brand
        fields[name] = (admitted | None, ...)
    for name in domain.re:
        fields[name] = (Annotated[list[EnglishKeyword], Field(max_length=max_values)], ...)
    return create_model("Attributes", __config__=ConfigDict(extra="forbid"), **fields)


def _attributes_prompt(domain: Domain, model: type[BaseModel], max_values: int) -> Prompt:
    """Return the prompt of a domain: its attributes, and the examples that fit it."""
    std = "\n".join(
        f"- {name}: {', '.join(field.values) if field.kind == 'closed' else 'any name'}"
        for name, field in domain.std.items()
    )
    re = "\n" + "\n".join(
        f"- {name}: such as {', '.join(list(field.values)[:8])}" if field.values else f"- {name}"
        for name, field in domain.re.items()
    )
    prompt = load_prompt(
        "beauty_rec.items", "attributes", std=std, re=re, max_values=str(max_values)
    )
    mine = [e for e in prompt.examples if e.domain == domain.name] or list(prompt.examples)
    examples = tuple(
        Example(input=e.input, answer=_fitted(e.answer, domain, max_values)) for e in mine
    )
    return Prompt(
        prompt.name, prompt.version, prompt.tag, prompt.max_tokens, prompt.instructions, examples
    )


def _fitted(answer: Mapping[str, Any], domain: Domain, max_values: int) -> dict[str, Any]:
    """Return an example's answer with every attribute of the domain and no other."""
    fitted: dict[str, Any] = {}
    for name, std in domain.std.items():
        value = answer.get(name)
        known = std.kind == "brand" or value in std.values
        fitted[name] = value if known and isinstance(value, str) else None
    for name in domain.re:
        values = answer.get(name)
        fitted[name] = values[:max_values] if isinstance(values, list) else []
    return fitted


def _fields(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what is given of an item, under our names."""
    details = json.loads(row["details"] or "{}")
    given = {
        "title": row["title"] or "",
        "store": row["store"] or "",
        "categories": " / ".join(row["categories"] or []),
        "features": " ".join(row["features"] or []),
        "description": row["description"] or "",
        "details": "; ".join(f"{k}: {v}" for k, v in details.items() if isinstance(v, str)),
    }
    if is_thin(row["features"], row["description"]):
        given["shoppers"] = "; ".join(row["keywords"][:MAX_SHOPPER_KEYWORDS])
    return given


def _with_summaries(
    read: pl.DataFrame, by_rules: pl.DataFrame, unsummed: Iterable[str]
) -> pl.DataFrame:
    """Fill in the rules' summaries of the items that the model summed up badly."""
    rules = by_rules.filter(pl.col("parent_asin").is_in(list(unsummed))).select(
        "parent_asin", rules_summary="summary", rules_source="source"
    )
    joined = read.join(rules, on="parent_asin", how="left", maintain_order="left")
    missing = pl.col("rules_source").is_not_null()
    return joined.with_columns(
        summary=pl.when(missing).then("rules_summary").otherwise("summary"),
        source=pl.when(missing)
        .then(pl.format("{}, summary {}", "source", "rules_source"))
        .otherwise("source"),
    ).drop("rules_summary", "rules_source")
