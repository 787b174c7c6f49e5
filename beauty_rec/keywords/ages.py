"""Ages in numbers: "in my 50s", "I'm 62", "my 5 year old", "women over 40"."""

from beauty_rec.keywords.lexicon import load_lexicon

_OWNERS = frozenset({"my", "her", "his", "their", "your", "early", "mid", "late", "our"})
_YEARS = frozenset({"year", "years", "yr", "yrs"})
_OVER = frozenset({"over", "above", "past"})
# Before "over 50": without one of them it may be fifty of anything.
_GROUPS = frozenset({"women", "woman", "men", "skin", "people", "anyone", "those", "i'm", "am"})
_PEOPLE = frozenset(
    """daughter son girl boy kid niece nephew grandson granddaughter child sister brother woman man
    lady guy mother mom father dad grandmother grandma wife husband toddler baby self skin face
    female male teenager cousin friend""".split()  # noqa: SIM905
)
# After a number that is no age.
_UNITS = frozenset({"percent", "%", "$", "/", "feet", "ft", "lbs", "out", "oz", "-", "x", "min"})
_TIMES = frozenset({"week", "weeks", "month", "months", "day", "days", "minutes", "hours", "times"})


def find_ages(tokens: list[str]) -> list[str]:
    """Return the age keywords of ``tokens`` (see ``tokenise``), in the order of the text.

    >>> find_ages("i'm in my 50s , my 5 year old loves it".split())
    ['50s', 'child']
    """
    found = []
    for i, token in enumerate(tokens):
        if not token[0].isdigit() or len(token) > 5 or not token.isascii():
            continue
        before = tokens[i - 1] if i else ""
        after = [*tokens[i + 1 : i + 4], "", "", ""]
        if len(token) == 3 and token.endswith("0s"):
            if before in _OWNERS and token[0] >= "2":
                found.append(token)
        elif not token.isdigit() or len(token) > 2:
            if token[:-2].isdigit() and token.endswith("yo") and len(token) <= 4:
                found.append(_band(int(token[:-2])))
        elif _is_age(int(token), tokens, i, before, after):
            months = after[0] in ("month", "months", "week", "weeks")
            found.append("baby" if months else _band(int(token)))
    return found


def _is_age(number: int, tokens: list[str], i: int, before: str, after: list[str]) -> bool:
    if after[0] in _YEARS and after[1] in ("old", "olds"):
        return after[1] == "olds" or not after[2].isalpha() or _may_follow(after[2])
    if after[0] in ("yo", "y"):
        return True
    if after[0] in ("month", "months") and after[1] in ("old", "olds"):
        return number <= 24 and (not after[2].isalpha() or _may_follow(after[2]))
    if after[0] in _UNITS or after[0] in _TIMES or not 13 <= number <= 99:
        return False
    if before in _OVER:
        return i > 1 and tokens[i - 2] in _GROUPS
    if before in ("am", "i'm", "im", "aged", "age"):
        return not after[0].isalpha() or after[0] in ("and", "years", "but", "with", "now", "yrs")
    return before in ("turned", "turning") and not after[0].isalpha()


def _may_follow(word: str) -> bool:
    """Whether ``word`` after "5 year old" lets it be a person ("hair dryer" does not)."""
    return word in _PEOPLE or word.endswith("s") or word in load_lexicon().words["function"]


def _band(age: int) -> str:
    if age < 2:
        return "baby"
    if age < 4:
        return "toddler"
    if age < 13:
        return "child"
    if age < 20:
        return "teenager"
    return f"{min(age // 10, 9)}0s"
