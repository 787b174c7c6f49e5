"""The amount of a price that is given as text, read by the number's own form.

A separator is what its place among the digits makes it: of two kinds the last is the decimal one
("1,299.00", "1.299,00 €"), a repeated one groups ("1.299.000"), blanks and apostrophes group
("1 299,00", "1'299.00"), and one that does not stand before exactly three digits is decimal
("12,99 €", "R$ 19,90").

**Ambiguous** is a lone comma or point between one to three digits and exactly three ("1.299",
"1,299"): thousands for one writer, decimals for another. Only the currency can decide: where its
users group with that sign ("$1,299", "1.299 €", "Rp 15.000"), or count in thousandths
("KWD 1.299"), it is read so; else there is no price. A wrong price by a factor of a thousand is
worse than none. The same holds for texts with several amounts that are no range.

>>> parse_price("12,99 €"), parse_price("from 1.299,00"), parse_price("$10.00 - $20.00")
(12.99, 1299.0, 10.0)
>>> parse_price("1.299") is None
True
"""

import re
import unicodedata
from typing import Any

MOST = 1e9
"""An amount of this or more is no price."""
MAX_CHARS = 100
"""A longer text is no price."""

# First what its users group thousands with (3: they count in thousandths), then the signs, codes
# and names of currencies in lower case.
_CURRENCY_TABLE = """
, $ us$ c$ ca$ a$ au$ nz$ s$ hk$ nt$ mx$ usd cad aud nzd sgd hkd twd mxn dollar dollars £ gbp pound
, pounds ¥ jpy cny rmb 円 元 yen ₩ krw 원 ₹ inr rs rs. ₱ php ฿ thb rm myr ₪ ils
. € eur euro euros r$ brl rp rp. idr ₫ vnd đ ₺ tl try kr kr. dkk isk clp cop ars
3 kwd bhd omr jod tnd lyd iqd
- chf fr fr. sfr sfr. nok sek zł zl pln kč czk ft huf lei ron лв bgn ₽ руб руб. rub uah ₴ s/ s/. pen
- zar aed sar sr dh mad egp ngn ₦ kes ksh pkr lkr bdt ₸ kzt ₡ crc ₲ pyg
"""


def _currencies(kind: str) -> frozenset[str]:
    lines = _CURRENCY_TABLE.strip().splitlines()
    return frozenset(sign for line in lines if line[0] == kind for sign in line.split()[1:])


_COMMA_GROUPS, _POINT_GROUPS, _THOUSANDTHS, _OTHERS = map(_currencies, ",.3-")
_CURRENCIES = _COMMA_GROUPS | _POINT_GROUPS | _THOUSANDTHS | _OTHERS

_SIGN = "|".join(sorted(map(re.escape, _CURRENCIES), key=lambda sign: (-len(sign), sign)))
# Grouped by blanks, then anything of digits and separators, then ".99".
_NUMBER = r"[0-9]{1,3}(?: [0-9]{3})+(?![0-9])(?:[.,][0-9]+)?|[0-9]+(?:[.,'][0-9]+)*|[.,][0-9]{1,2}"
_AMOUNT = re.compile(
    rf"(?P<minus>-)?(?:(?<![^\W\d_])(?P<before>{_SIGN}) ?(?P<inner>-)?|(?<![\w.,']))"
    rf"(?P<number>{_NUMBER})(?![.,']*[0-9])(?:(?P<dash>[.,]) ?-{{1,2}}(?![0-9]))?"
    rf"(?: ?(?P<after>{_SIGN})(?![^\W_]))?"
)
_GLUED = re.compile(r"\w|[%¢‰°]|-(?!.*[0-9])")
"""Behind a number that is no price: a letter, a per cent sign, the minus of book-keeping."""
_HUNDREDTHS = re.compile(
    r" ?(?:cents?|cts?|pence|penny|pennies|p|centimes?|centavos?|céntimos?|grosz[ey]?|gr|kopeks?"
    r"|kopecks?|коп|paise|paisa|sen|øre|öre|haléř\w*|fill[ée]r)\b"
)
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_EVEN = re.compile(r"(?<=[0-9]) ?/-(?![0-9])")
"""Of "₹499/-": and no hundredths."""
_PER_UNIT = re.compile(r"(?:/|\bper\b|\bpro\b|\bje\b).*", re.DOTALL)
_RANGE = re.compile(r" ?(?:-|~|\bto\b|\bbis\b|\band\b|\bà\b|\ba\b|\buntil\b) ?")
_CENTS = re.compile(rf" ?(?:[0-9]{{2}}|[0-9]{{1,2}}{_HUNDREDTHS.pattern})")
_CENTS_BEHIND_SIGN = re.compile(r"([0-9]+)( ?)[€$£]( ?)([0-9]{2})")
_SCALE = re.compile(
    r" ?(?:(?:k|tsd|thousands?|mil|mille|lakhs?|lacs?|crores?|cr|mio|mln|millions?|millionen"
    r"|millones|bn|mrd|billions?|тыс|млн)(?![^\W\d_])|[万萬億亿千억만천])"
)
"""Behind a number that is one of thousands or more: words, which are not read."""
_PLAIN = str.maketrans(
    dict.fromkeys("‐‑‒–—―−", "-")
    | dict.fromkeys("’‘ʼ′´`٬", "'")
    | {"٫": ".", "\N{FULLWIDTH YEN SIGN}": "¥"}
)


def parse_price(value: Any) -> float | None:
    """Return the amount of a price, 0 or more and below `MOST`; None where there is no such one.

    Of a range it is the lower end, as of "from 10.00". What is negative, not finite, ambiguous
    (see the module), or no number or text, is None. The currency is not converted.
    """
    if isinstance(value, str):
        value = _amount(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < MOST else None


def _amount(text: str) -> float | None:
    if len(text) > MAX_CHARS or any(unicodedata.category(c) in ("No", "Nl") for c in text):
        return None  # "$12⁹⁹", "½": NFKC would make other numbers of them
    text = " ".join(unicodedata.normalize("NFKC", text).translate(_PLAIN).lower().split())
    text = "".join(str(unicodedata.decimal(c, c)) for c in text)  # "١٢٫٥", "₹१,२९९"
    if whole := _CENTS_BEHIND_SIGN.fullmatch(text):  # 12€99, but "2 $10" is two for ten or 2.10
        return None if whole[2] or whole[3] else float(f"{whole[1]}.{whole[4]}")
    text = _EVEN.sub("", text)
    text = _ASIDE.sub(" ", text)
    if unit := _PER_UNIT.search(text.replace("s/", "s ")):
        if not re.search(r"[^\W\d_]", unit[0]):
            return None  # "12/99": of no unit
        text = text[: unit.start()]
    found = _amounts(text)
    money = [match for match in found if match["before"] or match["after"]]
    if len(money) == 1:
        ends = found[: found.index(money[0]) + 1]
        if _is_range(text, ends[-2:]):  # "10-20 €": the sign of both stands last
            money = ends[-3:] if _is_range(text, ends[-3:-1]) else ends[-2:]
    # Beside an amount of money other numbers are counts: "12.99 € for 2".
    found = money or found
    if not found or (len(found) > 1 and not _is_range(text, found)):
        return None
    if any(_SCALE.match(text, match.end("number")) for match in found):
        return None
    first = found[0]
    if (first["minus"] and not _has_number_before(text, first)) or first["inner"]:
        return None
    if first["number"].isdigit() and re.search("[0-9] $", text[: first.start("number")]):
        return None  # "12 99 €"
    behind = (text[first.end("number") :], text[first.end() :])
    if first["number"].isdigit() and (re.match(" [0-9]", behind[0]) or _CENTS.fullmatch(behind[1])):
        return None  # "$12 99": cents that stood above the line
    number = first["number"] + (f"{first['dash']}00" if first["dash"] else "")
    return _read(number, first["before"] or first["after"] or found[-1]["after"] or "")


def _amounts(text: str) -> list[re.Match[str]]:
    """Return the numbers of ``text`` that no letter or per cent sign is glued to.

    Of a range the upper end says what both are: "5-10 %".
    """
    found: list[re.Match[str]] = []
    for match in _AMOUNT.finditer(text):
        following = text[match.end() : match.end() + 2].lstrip(" ")
        glued = _GLUED.match(text, match.end())
        hundredths = _HUNDREDTHS.match(text, match.end("number"))
        if glued is None and following[:1] not in ("%", "¢", "‰") and hundredths is None:
            found.append(match)
        elif (
            found
            and not (found[-1]["before"] or found[-1]["after"])
            and _is_range(text, [found[-1], match])
        ):
            found.pop()
    return found


def _is_range(text: str, found: list[re.Match[str]]) -> bool:
    """Whether ``found`` are two amounts with nothing but "-" or "to" between."""
    if len(found) != 2:
        return False
    first, second = found
    between = text[first.end() : second.start()] + (second["minus"] or "")
    return _RANGE.fullmatch(between) is not None


def _has_number_before(text: str, match: re.Match[str]) -> bool:
    return any(character.isdigit() for character in text[: match.start()])


def _read(number: str, sign: str) -> float | None:
    """Return the value of digits with separators, of a price in the currency ``sign``."""
    whole, separator, decimals = number, "", ""
    kinds = {character for character in number if character in ".,"}
    if len(kinds) == 2 or (kinds and ("'" in number or " " in number)):
        place = max(number.rfind("."), number.rfind(","))
        whole, decimals = number[:place], number[place + 1 :]
    elif len(kinds) == 1 and number.count(separator := kinds.pop()) == 1:
        whole, _, decimals = number.partition(separator)
        if len(decimals) == 3 and re.fullmatch(r"[1-9][0-9]{0,2}", whole):
            if sign in _THOUSANDTHS:
                return float(f"{whole}.{decimals}")
            groups = _COMMA_GROUPS if separator == "," else _POINT_GROUPS
            return float(whole + decimals) if sign in groups else None
    if not decimals.isdigit() and decimals:
        return None
    plain = _ungrouped(whole)
    return None if plain is None else float(f"{plain}.{decimals or 0}")


def _ungrouped(whole: str) -> str | None:
    """Return the digits of ``whole``; None where its separators do not group it as is usual."""
    if not whole or whole.isdigit():
        return whole or "0"
    signs = {character for character in whole if not character.isdigit()}
    first, *groups = re.split(r"[.,' ]", whole)
    usual = all(len(group) == 3 for group in groups) and 1 <= len(first) <= 3
    # Lakhs and crores: 1,29,999.
    indian = len(groups[-1]) == 3 and all(len(g) == 2 for g in groups[:-1]) and len(first) <= 2
    if len(signs) > 1 or first.startswith("0") or not (usual or (indian and signs == {","})):
        return None
    return first + "".join(groups)
