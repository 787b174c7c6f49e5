"""Which attribute extractor the settings ask for."""

from collections.abc import Iterator
from contextlib import contextmanager

from beauty_rec.items.attributes import AttributeExtractor
from beauty_rec.items.domain import Domain
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.settings import Settings


@contextmanager
def open_attribute_extractor(settings: Settings, domain: Domain) -> Iterator[AttributeExtractor]:
    """Yield the extractor of ``llm.backend``; what it holds open is closed at the end."""
    rules = RulesAttributeExtractor(domain, settings.attributes)
    if settings.llm.backend == "rules":
        yield rules
        return
    from beauty_rec.items.llm import LanguageModelAttributeExtractor
    from beauty_rec.language.reader import Reader

    with Reader(settings.llm, settings.language_dir) as reader:
        yield LanguageModelAttributeExtractor(reader, rules, domain, settings.attributes.max_values)
