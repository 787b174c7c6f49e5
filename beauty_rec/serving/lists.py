"""Lists of all users of a served set, in chunks that outlive a kill."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from beauty_rec.artifacts import atomic_path
from beauty_rec.corpus.forgotten import Forgotten
from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.row_cache import content_keys, maker_of
from beauty_rec.serving.state.engine import Engine
from beauty_rec.settings import Settings

SCHEMA = {
    "user_id": pl.String(),
    "rank": pl.Int32(),
    "parent_asin": pl.String(),
    "score": pl.Float32(),
    "version": pl.String(),
}
CACHE = "cache/user_lists"
USERS_AT_ONCE = 32
"""Whose answers a core computes together: more scores of 100,000 items leave the caches."""


@dataclass(frozen=True)
class MadeLists:
    """Lists of ``users`` users, ``kept`` of them from a run that did not end."""

    frame: pl.DataFrame
    version: str
    users: int
    kept: int


def make_lists(settings: Settings, code_version: str) -> MadeLists:
    """Return the best items of every user of the set that is served, by its own answer path.

    Asked as of the moment at which the set was published. What was given over the API by now
    counts: items, what was said of them, events, and the shop's rules. A chunk of a run that was
    killed is taken over where nothing of this is other now.

    Args:
        settings: ``data_dir``, ``lists`` and ``serve``.
        code_version: of what makes them; chunks of another one are not taken over.
    """
    cache = settings.data_dir / CACHE
    with Engine.open(settings) as engine:
        shop, lists = engine.shop, settings.lists
        at_ms = int(datetime.fromisoformat(shop.manifest.created_at).timestamp() * 1000)
        folder = cache / _key(engine, code_version, lists.model_dump_json())
        for other in cache.glob("*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        known = list(shop.people.users)
        gone = shop.forgotten.among(pl.Series(known, dtype=pl.String))
        chunks, kept = list[Path](), 0
        for start in range(0, len(known), lists.chunk):  # of all, so that who leaves moves nobody
            all_of_it = known[start : start + lists.chunk]
            some = [user for user in all_of_it if user not in gone]
            done = [[e for e in shop.since.get(u, ()) if e.time_ms < at_ms] for u in all_of_it]
            path = folder / f"{start:012d}-{maker_of(done)}.parquet"
            if path.exists():
                kept += len(some)
            else:
                frame = _frame(engine, some, lists.k, at_ms)
                with atomic_path(path) as draft:
                    frame.write_parquet(draft)
            chunks.append(path)
    frames = [pl.read_parquet(path, glob=False) for path in chunks]
    found = pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)
    shutil.rmtree(cache)
    left = found.filter(~pl.col("user_id").is_in(list(gone)))  # of a kept chunk
    return MadeLists(left, shop.manifest.set, len(known) - len(gone), kept)


def drop_kept_lists(data_dir: Path, forgotten: Forgotten) -> None:
    """Delete what a killed run has kept of lists, where it names a forgotten user."""
    for path in (data_dir / CACHE).glob("*/*.parquet"):
        if forgotten.among(pl.read_parquet(path, columns=["user_id"], glob=False)["user_id"]):
            path.unlink()


def best_of_users(
    engine: Engine, users: Sequence[str], k: int, at_ms: int
) -> Iterator[tuple[str, list[str], NDArray[np.float32]]]:
    """Yield each user with the ids and the scores of the k best items, as of ``at_ms`` (Unix ms).

    A thread for each core answers some users at a time on that core alone: what comes after the
    product with all items would leave the other cores idle.
    """
    one = RecommendRequest(k=k).model_copy(update={"at": at_ms})
    starts = range(0, len(users), USERS_AT_ONCE)

    def answers(start: int) -> list[tuple[list[str], NDArray[np.float32]]]:
        some = users[start : start + USERS_AT_ONCE]
        return engine.best([one.model_copy(update={"user_id": user}) for user in some])

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, "lists", torch.set_num_threads, (1,)) as pool:
        try:
            for start, found in zip(starts, pool.map(answers, starts), strict=True):
                some = users[start : start + USERS_AT_ONCE]
                for user, (items, scores) in zip(some, found, strict=True):
                    yield user, items, scores
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)


def _key(engine: Engine, *others: str) -> str:
    """Return what stands for all that the lists of all users depend on."""
    shop, given = engine.shop, engine.given
    items = sorted(given.items.items(), key=lambda each: each[0])
    return maker_of(
        others,
        (shop.manifest.set, shop.manifest.created_at),
        (engine.serve.model_dump_json(), engine.released.model_dump_json(), engine.rules.text),
        content_keys(item.model_dump_json() for _, item in items),
        sorted(given.states.items()),
    )


def _frame(engine: Engine, users: Sequence[str], k: int, at_ms: int) -> pl.DataFrame:
    version = engine.shop.manifest.set
    rows = (
        (user, rank, item, score, version)
        for user, items, scores in best_of_users(engine, users, k, at_ms)
        for rank, (item, score) in enumerate(zip(items, scores.tolist(), strict=True), 1)
    )
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")
