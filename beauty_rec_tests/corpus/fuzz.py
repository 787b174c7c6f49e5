"""Lines of input files as nobody should write them, drawn from a seed."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from beauty_rec_tests.corpus.rows import NOW_MS, review

_TEXTS = (
    "", " ", "soft", "a\x00b", "\u202e\u200b", "<b>x</b>&amp;lt;", "é" * 50, "\U0001f600",
    "x" * 5000, "[" * 200, "&#x110000;", "1.299", "12,99 €", "\ufeff", "null", "{}", "[]",
    '{"a": [1]}', "'",
    "<" * 300, "&" * 300, "٣٫٥", "a\r\nb", "\x7f", "\x85\u2028",
)  # fmt: skip
_NUMBERS = (
    0, 1, -1, 5, 1.0, 1.5, -0.0, 10**12, 1e400, -1e400, float("nan"), 2**31, 2**63, 2**64, 10**30,
    1e300, 5e-324, NOW_MS, NOW_MS // 1000, NOW_MS * 1000, NOW_MS * 10**6, True, False, None,
)  # fmt: skip
_BROKEN = (
    b"", b"  ", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe{}", b"{}", b'{"a":}', b"NaN",
    b"{" * 900, b'{"title": "\\ud83d"}', b'{"user_id": "\\udc00", "title": "\\u0000"}', b"\x00",
    b"\x1f\x8b",
    b'{"user_id": "U", "user_id": "V"}', b"}" * 50, b"'{}'", b'{"rating": 01}', b"\xed\xa0\x80",
)  # fmt: skip


def fuzzed_lines(count: int, seed: int, of: Callable[..., dict[str, Any]]) -> Iterator[bytes]:
    """Yield ``count`` lines: a third valid, a third with odd values, a third broken or cut.

    Args:
        count: of lines.
        seed: the same gives the same lines.
        of: `review` or `item`, the row that is damaged.
    """
    rng = random.Random(seed)
    for number in range(count):
        row = of(parent_asin=f"B{rng.randrange(2 * count)}")
        if of is review:
            row |= {"user_id": f"U{rng.randrange(99)}", "timestamp": NOW_MS - rng.randrange(10**9)}
        kind = number % 3
        if kind:
            for _ in range(rng.randrange(1, 4)):
                row[rng.choice([*row, f"extra {rng.randrange(9)}"])] = _value(rng, 3)
        line = json.dumps(row, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        yield _damaged(rng, line) if kind == 2 else line


def _value(rng: random.Random, depth: int) -> Any:
    draw = rng.random()
    if draw < 0.4 or not depth:
        return rng.choice(_TEXTS)
    if draw < 0.75:
        return rng.choice(_NUMBERS)
    if draw < 0.9:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_TEXTS): _value(rng, depth - 1) for _ in range(rng.randrange(4))}


def _damaged(rng: random.Random, line: bytes) -> bytes:
    draw, place = rng.random(), rng.randrange(len(line))
    if draw < 0.3:
        return rng.choice(_BROKEN)
    if draw < 0.5:
        return line[:place]
    if draw < 0.8:
        return line[:place] + bytes([rng.choice([b for b in range(256) if b != 10])]) + line[place:]
    return line[:place] + line[place + rng.randrange(9) :]
