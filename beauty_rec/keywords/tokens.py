"""Words of a text, cut alike in reviews and in the lexicon."""

import re
import unicodedata

MAX_CHARS = 20_000
"""Of a title or a text: nothing past it is read."""

# Marks of Indic and Thai scripts are no "\w" for `re`, though words hold them.
_LETTER = "\\w\u0300-\u036f\u0900-\u0dff\u0e00-\u0eff"
# A hyphen within a word separates like a space; one between spaces is punctuation. Whatever is
# neither letter, space nor quote (an emoji, a comma, a line's end) is a token of its own.
_TOKEN = re.compile(rf"[{_LETTER}]+(?:'[{_LETTER}]+)*|--+|(?<=\s)-(?=\s)|\n|[^{_LETTER}\s'\"\-]")
_POSSESSIVE = re.compile(r"'s\b")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"'})


def tokenise(text: str) -> list[str]:
    """Return the lower-case words and punctuation marks of ``text``.

    >>> tokenise("My daughter’s Long-lasting lip gloss!")
    ['my', 'daughter', 'long', 'lasting', 'lip', 'gloss', '!']
    """
    text = text[:MAX_CHARS]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_QUOTES))
    text = text.lower().replace("_", " ")
    if "'s" in text:
        text = _POSSESSIVE.sub("", text.replace("0's", "0s"))
    return _TOKEN.findall(text)
