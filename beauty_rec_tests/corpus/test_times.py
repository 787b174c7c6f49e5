import pytest

from beauty_rec.corpus.times import CLOCK_SLACK_MS, timestamp_fault

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (NOW, None), (NOW + CLOCK_SLACK_MS, None), (100_000_000_000, None),
        (NOW + CLOCK_SLACK_MS + 1, "in the future"), (4_102_444_800_000, "in the future"),
        (-1, "negative"), (0, "in seconds, not milliseconds"),
        (NOW // 1000, "in seconds, not milliseconds"),
        (NOW * 1000, "in microseconds, not milliseconds"),
        (NOW * 1_000_000, "in nanoseconds, not milliseconds"),
        (4_102_444_800_000_000, "in microseconds, not milliseconds"), (10**30, "in the future"),
    ],
)  # fmt: skip
def test_the_unit_is_named(value, fault):
    assert timestamp_fault(value, NOW) == fault
