"""When a user did the last thing that a published set knows."""

from pathlib import Path

import polars as pl

from beauty_rec.recommender.online.sets.parts import EVENTS
from beauty_rec.serving.published.manifest import VERSIONS


def last_in_sets(root: Path, user_id: str) -> int:
    """Return the time of the user's last event in any set below ``root`` (Unix ms); 0: in none.

    A set that cannot be read knows nobody.
    """
    last = 0
    for path in (root / VERSIONS).glob(f"*/{EVENTS}"):
        try:
            events = pl.read_parquet(path, columns=["user_id", "timestamp"], glob=False)
        except (OSError, pl.exceptions.PolarsError):
            continue
        times: list[int] = events.filter(user_id=user_id)["timestamp"].to_list()
        last = max([last, *times])
    return last
