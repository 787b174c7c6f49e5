"""Keywords by a language model; the rules read what the model could not."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated

import polars as pl
from pydantic import Field

from beauty_rec.keywords.extractor import Reviews, answers, read_batches
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.keywords.schema import ReviewKeywords
from beauty_rec.language.answers import EnglishKeyword
from beauty_rec.language.prompt import load_prompt
from beauty_rec.language.reader import Reader
from beauty_rec.language.task import Question, Task
from beauty_rec.language.usage import Usage

_NOTHING = ReviewKeywords(who=[], when=[], why=[])


class AskedKeywords(ReviewKeywords):
    """What a model is asked for: fewer and shorter keywords than may stand in the artifact."""

    who: Annotated[list[EnglishKeyword], Field(max_length=8)]
    when: Annotated[list[EnglishKeyword], Field(max_length=6)]
    why: Annotated[list[EnglishKeyword], Field(max_length=12)]


class LanguageModelExtractor:
    """The extractor that asks a language model, each text once.

    Reviews without any text are not asked. Quarantined reviews, and those beyond ``llm.max_items``,
    are read by ``fallback``, and their ``source`` says so.
    """

    def __init__(self, reader: Reader, fallback: RulesExtractor) -> None:
        self._reader = reader
        self._fallback = fallback
        settings = reader.settings
        self.task = Task(
            load_prompt("beauty_rec.keywords", "keywords"), AskedKeywords, settings.max_review_chars
        )
        self.source = f"{settings.model}/{self.task.prompt.label}"
        self.usage: Usage | None = None
        """Of the last :meth:`extract`."""

    def extract(self, reviews: Reviews) -> Iterator[pl.DataFrame]:
        """Ask what has not been asked yet, in one stream; then yield what is stored.

        Raises:
            Stopped, ServerProblem: as :meth:`beauty_rec.language.reader.Reader.read`.
        """
        limit = self._reader.settings.max_items
        asked = reviews.rows if limit is None else min(limit, reviews.rows)
        questions = (q for _, q in islice(self._questions(reviews), asked) if q is not None)
        self.usage = self._reader.read(questions, asked, "keywords")
        for batch in read_batches(reviews, "keywords from the store"):
            yield self._stored(batch, asked)
            asked -= min(asked, batch.height)

    def _stored(self, batch: pl.DataFrame, asked: int) -> pl.DataFrame:
        """Return the answers of a batch; of its first ``asked`` rows from the store."""
        given: dict[str, ReviewKeywords] = {}
        for review_id, question in self._questions([batch.head(asked)]):
            answer = _NOTHING if question is None else self._reader.answer(question)
            if isinstance(answer, ReviewKeywords):
                given[review_id] = answer
        read = answers(list(given), list(given.values()), self.source)
        left = batch.filter(~pl.col("review_id").is_in(list(given)))
        return pl.concat([read, self._fallback.read_frame(left)])

    def _questions(self, batches: Iterable[pl.DataFrame]) -> Iterator[tuple[str, Question | None]]:
        for batch in batches:
            for review_id, title, text in batch.select("review_id", "title", "text").iter_rows():
                yield review_id, self.task.question({"title": title or "", "text": text or ""})
