"""Writing the sample to disk, row by row, byte for byte the same for a seed."""

import base64
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from beauty_rec.artifacts import ODD_JSON, atomic_path, write_text_atomic
from beauty_rec.sample.catalogue import Catalogue, make_catalogue
from beauty_rec.sample.choices import Events, draw_counts, draw_events
from beauty_rec.sample.flaws import (
    ITEM_FLAWS,
    PROFILE_FLAWS,
    REVIEW_FLAWS,
    Row,
    encode,
    plan_flaws,
)
from beauty_rec.sample.metadata import NO_ROW, MetadataWriter
from beauty_rec.sample.tables import Tables, load_tables
from beauty_rec.sample.tastes import PROFILES, make_tastes, profile_rows
from beauty_rec.sample.texts import ReviewWriter
from beauty_rec.settings import SampleSettings

VERSION = 1
"""Of the recipe: a change of what a seed gives raises it."""
MANIFEST = "synthetic.json"


@dataclass(frozen=True)
class SampleFiles:
    """The three files of a sample."""

    reviews: Path
    items: Path
    profiles: Path


def write_sample(folder: Path, settings: SampleSettings) -> SampleFiles:
    """Write ``reviews.jsonl.gz``, ``meta.jsonl.gz``, ``profiles.jsonl.gz`` and ``synthetic.json``.

    ``settings.reviews`` good reviews of at most ``settings.items`` items, and about 1.2% of bad
    rows beside them. The same settings give the same bytes (with the same NumPy and zlib). Memory
    is bounded by some 60 bytes a review: texts exist one at a time. Each file appears whole; the
    manifest is written first, so that no sample ever lies there unlabelled.

    Raises:
        FileExistsError: one of the files is there already and no sample's.
    """
    tables = load_tables()
    seeds = np.random.SeedSequence(settings.seed).spawn(6)
    rngs = [np.random.default_rng(seed) for seed in seeds]
    catalogue = make_catalogue(settings.items, tables, rngs[0])
    counts = draw_counts(settings.reviews, settings.items, rngs[1])
    tastes = make_tastes(len(counts), tables, rngs[2])
    events = draw_events(tastes, counts, catalogue, tables, rngs[3])
    users = [_user_id(settings.seed, i) for i in range(len(counts))]
    asins = _asins(settings.seed, settings.items)
    writer = ReviewWriter(tables, tastes, catalogue, Random(f"{settings.seed}/reviews"))
    files = SampleFiles(
        folder / "reviews.jsonl.gz", folder / "meta.jsonl.gz", folder / "profiles.jsonl.gz"
    )

    has_row = np.flatnonzero(rngs[4].random(settings.items) >= NO_ROW)
    has_profile = np.flatnonzero(rngs[4].random(len(tastes)) < PROFILES)
    plans = {
        "reviews": plan_flaws(len(events), list(REVIEW_FLAWS), rngs[5]),
        "items": plan_flaws(len(has_row), list(ITEM_FLAWS), rngs[5]),
        "profiles": plan_flaws(len(has_profile), list(PROFILE_FLAWS), rngs[5]),
    }
    given = (files.reviews, files.items, files.profiles)
    for path in given:
        if path.exists() and not is_synthetic(path):
            raise FileExistsError(
                f"{path} is no sample that was written before: move it away, or name another folder"
            )
    for path in given:
        path.unlink(missing_ok=True)  # of other settings than the manifest says from now on
    write_text_atomic(
        folder / MANIFEST,
        json.dumps(
            {
                "synthetic": True,
                "version": VERSION,
                **settings.model_dump(),
                "files": [files.reviews.name, files.items.name, files.profiles.name],
                "bad_rows": {name: counts for name, (_, counts) in plans.items()},
            },
            indent=2,
        )
        + "\n",
    )
    order = rngs[5].permutation(len(events))
    _write(
        files.reviews,
        _review_rows(events, order, users, asins, writer),
        len(events),
        REVIEW_FLAWS,
        plans["reviews"][0],
    )
    _write(
        files.items,
        _item_rows(has_row, events, asins, tables, catalogue, settings.seed),
        len(has_row),
        ITEM_FLAWS,
        plans["items"][0],
    )
    _write(
        files.profiles,
        profile_rows(tastes, users, has_profile, rngs[4]),
        len(has_profile),
        PROFILE_FLAWS,
        plans["profiles"][0],
    )
    return files


def has_sample(folder: Path, settings: SampleSettings) -> bool:
    """Whether :func:`write_sample` has written a sample of these settings there, whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        wanted = {"version": VERSION, **settings.model_dump()}
        return {name: manifest[name] for name in wanted} == wanted and all(
            (folder / name).is_file() for name in manifest["files"]
        )
    except (FileNotFoundError, *ODD_JSON):
        return False


def is_synthetic(reviews_path: Path) -> bool:
    """Whether the file is one that :func:`write_sample` wrote: its folder's manifest names it."""
    try:
        manifest = json.loads((reviews_path.parent / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["synthetic"]) and reviews_path.name in manifest["files"]
    except (OSError, *ODD_JSON):
        return False


def _write(
    path: Path,
    rows: Iterable[Row],
    total: int,
    flaws: Mapping[str, Callable[[Row], bytes]],
    plan: Mapping[int, list[str]],
) -> None:
    """Write JSON Lines; after row ``i`` come the flawed copies that ``plan[i]`` names."""
    with (
        atomic_path(path) as draft,
        draft.open("wb") as raw,
        # No name and no time in the header: they would change the bytes.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as zipped,
        io.BufferedWriter(zipped, 1 << 18) as out,
    ):
        progress = tqdm(rows, f"sample: {path.name}", total, unit="row", disable=None)
        for number, row in enumerate(progress):
            out.write(encode(row).encode() + b"\n")
            for kind in plan.get(number, ()):
                out.write(flaws[kind](row) + b"\n")


def _review_rows(
    events: Events,
    order: NDArray[np.int64],
    users: list[str],
    asins: list[str],
    writer: ReviewWriter,
) -> Iterator[Row]:
    random = writer.random
    for event in order:
        user, item = int(events.user[event]), int(events.item[event])
        occasion, rating = int(events.occasion[event]), int(events.rating[event])
        title, text = writer.write(user, item, occasion, rating)
        asin = asins[item]
        row = {
            "rating": float(rating),
            "title": title,
            "text": text,
            "images": [_image(asin)] if random.random() < 0.04 else [],
            "asin": asin if random.random() < 0.85 else _variant(asin, random),
            "parent_asin": asin,
            "user_id": users[user],
            "timestamp": int(events.time_ms[event]),
            "helpful_vote": max(0, int(random.lognormvariate(-1.5, 1.4))),
            "verified_purchase": random.random() < 0.88,
        }
        context = writer.context(occasion)
        yield row if context is None else {**row, "context": context}


def _item_rows(
    has_row: NDArray[np.int64],
    events: Events,
    asins: list[str],
    tables: Tables,
    catalogue: Catalogue,
    seed: int,
) -> Iterator[Row]:
    writer = MetadataWriter(tables, catalogue, Random(f"{seed}/items"))
    number = np.bincount(events.item, minlength=len(catalogue))
    total = np.bincount(events.item, weights=events.rating, minlength=len(catalogue))
    for item in has_row.tolist():
        # The official snapshot counts ratings without a review too.
        silent = 1 + int(writer.random.lognormvariate(1.0, 1.2))
        average = round((float(total[item]) + 4.0 * silent) / (int(number[item]) + silent), 1)
        yield writer.write(item, asins[item], average, int(number[item]) + silent)


def _user_id(seed: int, number: int) -> str:
    digest = hashlib.sha256(f"{seed}/user/{number}".encode()).digest()
    return "A" + base64.b32encode(digest).decode()[:27]


def _asins(seed: int, count: int) -> list[str]:
    """Return distinct ids like the shop's: ``B0`` and eight of 36 signs."""
    start = int.from_bytes(hashlib.sha256(f"{seed}/items".encode()).digest()[:5])
    return ["B0" + _base36((start + i * 1_000_000_007) % 36**8) for i in range(count)]


def _base36(number: int) -> str:
    signs = ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + signs
    return signs


def _variant(asin: str, random: Random) -> str:
    return asin[:-1] + "ABCDEFGHIJ"[int(random.random() * 10)]


def _image(asin: str) -> dict[str, str]:
    address = f"https://images.example.invalid/{asin}"
    return {
        "attachment_type": "IMAGE",
        "small_image_url": f"{address}._SL256_.jpg",
        "medium_image_url": f"{address}._SL800_.jpg",
        "large_image_url": f"{address}.jpg",
    }
