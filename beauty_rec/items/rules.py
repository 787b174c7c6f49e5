"""The attribute extractor that needs no model: a domain's lexicon over what metadata says."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import polars as pl
from tqdm import tqdm

from beauty_rec.items.attributes import attributes_frame, record_model
from beauty_rec.items.brand import BrandClues, find_brands
from beauty_rec.items.domain import Domain, StdField
from beauty_rec.items.phrase_finder import Hit, Lexicon, words
from beauty_rec.row_cache import Reuse, content_keys, nothing_reused
from beauty_rec.settings import AttributeSettings

_HEAD_END = re.compile(r"[,|(:;/–—]| - | with | for ", re.IGNORECASE)
_CLAUSE_END = re.compile(r"(?<=[.!?;•])\s+|\s[|•–—]\s|\n+")
_LIST_END = re.compile(r"[,;/|]|\band\b|&")
_READ = ("title", "features", "description", "details", "categories", "keywords")
BATCH_ITEMS = 4_096
MAX_TEXT_CHARS = 4_000
MAX_PHRASES = 5


class RulesAttributeExtractor:
    """Reads title, features, details, description and train keywords, in that order of trust.

    STD: the first source that names a value of the field. RE: every value found, those of the
    title first; a detail's own words are kept where the lexicon has none, since RE is open.
    """

    source = "rules/1"

    def __init__(self, domain: Domain, settings: AttributeSettings) -> None:
        self.domain = domain
        self._settings = settings
        self._closed = {k: f for k, f in domain.std.items() if f.kind == "closed"}
        self._brands = {k: f for k, f in domain.std.items() if f.kind == "brand"}
        phrases = {name: field.phrases for name, field in self._closed.items()}
        phrases |= {name: spec.phrases for name, spec in domain.re.items()}
        self._lexicon = Lexicon(phrases)
        named = [field.column for field in self._closed.values() if field.column]
        self._columns = list(dict.fromkeys([*_READ, *named]))  # and no other, as rows are reused
        self._common = {
            word
            for given in phrases.values()
            for phrase in chain.from_iterable(given.values())
            for word in words(phrase)
        }

    def extract(self, items: pl.DataFrame, reused: Reuse = nothing_reused) -> pl.DataFrame:
        """See :class:`beauty_rec.items.attributes.AttributeExtractor`."""
        named = items.select("title", "store", "details")
        brands = {
            name: find_brands(
                [
                    BrandClues(row["title"] or "", _stated(row, _details(row), field))
                    for row in named.iter_rows(named=True)
                ],
                self._common,
            )
            for name, field in self._brands.items()
        }
        parts = [attributes_frame([], [], self.domain, self.source)]
        columns = [name for name in self._columns if name in items.columns]
        with tqdm(total=items.height, desc="item attributes", disable=None) as bar:
            for part in items.iter_slices(BATCH_ITEMS):
                read = part.select(columns)
                keys = pl.Series(content_keys(read.iter_rows()), dtype=pl.String)
                made = reused(keys, partial(self._extract, read))
                parts.append(made.with_columns(part["parent_asin"]))
                bar.update(part.height)
        # A brand is told by all items together.
        told = [pl.Series(name, found, dtype=pl.String) for name, found in brands.items()]
        return pl.concat(parts).with_columns(told)

    def _extract(self, items: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
        """Return what some rows say, each by itself: no brands."""
        model = record_model(self.domain)
        given = items[rows].iter_rows(named=True)
        records = [model.model_validate(self._record(row, _details(row))) for row in given]
        return attributes_frame([""] * len(records), records, self.domain, self.source)

    def _record(self, row: dict[str, Any], details: dict[str, str]) -> dict[str, Any]:
        title = (row["title"] or "")[:MAX_TEXT_CHARS]
        title_hits = self._lexicon.find(words(title))
        description = (row["description"] or "")[:MAX_TEXT_CHARS]
        texts = [" ".join(row["features"] or [])[:MAX_TEXT_CHARS], description]
        hits = [title_hits, *(self._lexicon.find(words(text)) for text in texts)]
        said = [hit for phrase in row["keywords"] for hit in self._lexicon.find(words(phrase))]
        record: dict[str, Any] = {}
        for name, field in self._closed.items():
            record[name] = self._std(name, field, row, details, title, hits, said)
        for name, spec in self.domain.re.items():
            found = [v for key in spec.details for v in self._listed(name, details.get(key, ""))]
            found += [h.value for source in (*hits, said) for h in source if h.field == name]
            record[name] = list(dict.fromkeys(found))[: self._settings.max_values]
        record["summary"] = self._summary(description)
        return record

    def _std(
        self,
        name: str,
        field: StdField,
        row: dict[str, Any],
        details: dict[str, str],
        title: str,
        hits: list[list[Hit]],
        said: list[Hit],
    ) -> str | None:
        stated = [details[key] for key in field.details if key in details]
        named = str(row.get(field.column) or "") if field.column else ""
        path = " / ".join(row["categories"] or []) if field.column else ""
        for text in (*stated, path):
            # The last step of a category path is the narrowest.
            if found := self._values(name, text):
                return _pick(found[::-1] if text is path else found, field)
        if field.pick == "head" and (
            found := self._values(name, _HEAD_END.split(title, maxsplit=1)[0])
        ):
            return found[-1]
        for found in ([h.value for h in hits[0] if h.field == name], self._values(name, named)):
            if found:
                return _pick(found, field)
        for source in hits[1:]:
            if found := [h.value for h in source if h.field == name]:
                return _pick(found, field)
        most = Counter(h.value for h in said if h.field == name).most_common(1)
        return most[0][0] if most else None

    def _values(self, name: str, text: str) -> list[str]:
        hits = self._lexicon.find(words(text)) if text else []
        return [h.value for h in hits if h.field == name]

    def _listed(self, name: str, text: str) -> Iterator[str]:
        for part in _LIST_END.split(text):
            if found := self._values(name, part):
                yield from found
            elif 1 < len(part.strip()) <= 30 and len(part.split()) <= 4:
                yield part.strip().lower()

    def _summary(self, description: str) -> str:
        """Return the two to five clauses with the most attributes, in their order; short ones.

        One clause that says anything is a summary too; "" where none does.
        """
        scored = []
        for place, clause in enumerate(_CLAUSE_END.split(description)):
            text = clause.strip(" .•-–—\t")
            hits = {(h.field, h.value) for h in self._lexicon.find(words(text))}
            if hits:
                scored.append((-len(hits), place, text))
        best = sorted(sorted(scored)[:MAX_PHRASES], key=lambda entry: entry[1])
        short = (_shorten(text, self._settings.max_summary_words) for *_, text in best)
        return "; ".join(dict.fromkeys(short))


def _shorten(text: str, limit: int) -> str:
    """Cut at the last comma that leaves at most ``limit`` words, else after ``limit`` words."""
    if len(text.split()) <= limit:
        return text
    head = " ".join(text.split()[:limit])
    comma = head.rfind(",")
    return head[:comma] if comma > len(head) / 2 else head


def _pick(found: list[str], field: StdField) -> str:
    return field.mixed if field.mixed and len(set(found)) > 1 else found[0]


def _details(row: dict[str, Any]) -> dict[str, str]:
    given = json.loads(row["details"] or "{}")
    return {key: value for key, value in given.items() if isinstance(value, str)}


def _stated(row: dict[str, Any], details: dict[str, str], field: StdField) -> list[str]:
    names = [details[key] for key in field.details if key in details]
    return [*names, *([row["store"]] if row["store"] else [])]
