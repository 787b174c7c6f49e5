"""Which numbers are moments: Unix milliseconds, and how other units are told from them.

The same moment in seconds, milliseconds, microseconds and nanoseconds lies a thousandfold apart,
so that from March 1973 to the year 5138 every number is a moment of one unit only.

>>> timestamp_fault(1_588_687_728_923, now_ms=1_700_000_000_000)
>>> timestamp_fault(1_588_687_728, now_ms=1_700_000_000_000)
'in seconds, not milliseconds'
"""

MIN_TIMESTAMP_MS = 100_000_000_000
"""March 1973 in milliseconds; a smaller one was meant in seconds (of a year before 5138)."""
CLOCK_SLACK_MS = 24 * 3600 * 1000
"""How far ahead of now a timestamp may lie: shops write local time as if it were UTC."""


def timestamp_fault(value: int, now_ms: int) -> str | None:
    """Return what is wrong with ``value`` as the time of an event; None where nothing is.

    Args:
        value: meant as Unix milliseconds.
        now_ms: the clock, Unix milliseconds.
    """
    if value < 0:
        return "negative"
    if value < MIN_TIMESTAMP_MS:
        return "in seconds, not milliseconds"
    if value <= now_ms + CLOCK_SLACK_MS:
        return None
    for factor, unit in ((1_000, "microseconds"), (1_000_000, "nanoseconds")):
        if MIN_TIMESTAMP_MS <= value // factor < MIN_TIMESTAMP_MS * 1_000:
            return f"in {unit}, not milliseconds"
    return "in the future"
