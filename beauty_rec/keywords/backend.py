"""Which keyword extractor the settings ask for."""

from collections.abc import Iterator
from contextlib import contextmanager

from beauty_rec.keywords.extractor import KeywordExtractor
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.settings import Settings


@contextmanager
def open_extractor(settings: Settings) -> Iterator[KeywordExtractor]:
    """Yield the extractor of ``llm.backend``; what it holds open is closed at the end."""
    rules = RulesExtractor(settings.keywords.max_phrases)
    if settings.llm.backend == "rules":
        yield rules
        return
    from beauty_rec.keywords.llm import LanguageModelExtractor
    from beauty_rec.language.reader import Reader

    with Reader(settings.llm, settings.language_dir) as reader:
        yield LanguageModelExtractor(reader, rules)
