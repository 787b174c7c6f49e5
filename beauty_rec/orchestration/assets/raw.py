"""Assets [raw]: the input files, their valid rows, and the split in time."""

import tempfile
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from beauty_rec.artifacts import content_hash, write_rows
from beauty_rec.orchestration.assets.intake import (
    ROWS,
    given_rows,
    in_parts,
    ingest_file,
    kept_parts,
    taken_in,
    without_forgotten,
)
from beauty_rec.orchestration.assets.shop import forgotten_users, shop_events, shop_items
from beauty_rec.orchestration.catalogue.docs_link import docs_link
from beauty_rec.orchestration.catalogue.markdown import frame_metadata
from beauty_rec.orchestration.checks import verdicts
from beauty_rec.orchestration.checks.make import value_check
from beauty_rec.orchestration.stage.partitions import encode_parts
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.records import latest_metadata
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import SPLITS, Settings

GROUP = "raw"
INPUT_OF = {
    "reviews_file": "reviews",
    "metadata_file": "items",
    "profiles_file": "profiles",
    "hidden_items_file": "hidden_items",
}


def _source(name: str, description: str) -> dg.SourceAsset:
    """Return the observable source asset of one input file."""

    @dg.observable_source_asset(
        name=name,
        group_name=GROUP,
        metadata=docs_link(),
        description=f"{description} Its data version is a hash of the file's content.",
    )
    def observe(settings: dg.ResourceParam[Settings]) -> dg.ObserveResult:
        kind = INPUT_OF[name]
        path = settings.inputs[kind]
        if path is None:
            return dg.ObserveResult(data_version=dg.DataVersion("none"))
        if not path.is_file():
            option = kind.replace("_", "-")
            raise FileNotFoundError(
                f"{path} is not a file; name the {kind} with: beauty-rec run --{option} FILE"
            )
        return dg.ObserveResult(
            data_version=dg.DataVersion(content_hash(path)),
            metadata={"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size},
        )

    return observe


reviews_file = _source("reviews_file", "The reviews: one rated event of a user and an item a row.")
metadata_file = _source("metadata_file", "The items' metadata, as patchy as it is.")
hidden_items_file = _source("hidden_items_file", "Items that are never shown: ids, one a line.")
profiles_file = _source("profiles_file", "The users' profiles: height, weight, age and more.")


@stage(
    group=GROUP,
    io="frames",
    settings=("corpus",),
    read_as=(ROWS,),
    deps=[reviews_file, shop_events, forgotten_users],
    kinds=("parquet", "polars", "pydantic"),
)
def raw_reviews(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], store: ArtifactStore
) -> Path:
    """Valid reviews, each (user, item, timestamp) once, texts cleaned, in order of time."""
    from beauty_rec.corpus.intake.given import with_events
    from beauty_rec.corpus.intake.ingest import ingest_reviews
    from beauty_rec.corpus.schema import REVIEW_SCHEMA

    given = given_rows(settings, store, "events", ingest_reviews)
    kept = kept_parts(context, settings, users=True)
    ingest = partial(ingest_reviews, kept=kept)
    draft, refused = ingest_file(context, settings, store, "reviews", ingest, REVIEW_SCHEMA)
    context.add_asset_metadata({"blocks_read": kept.converted, "blocks_reused": kept.reused})
    draft = without_forgotten(context, settings, draft, time="timestamp")
    made = draft if given is None else with_events(taken_in(draft), given)
    return in_parts(context, store, made, refused)


@stage(
    group=GROUP,
    io="frames",
    settings=("corpus",),
    read_as=(ROWS,),
    deps=[metadata_file, shop_items],
    kinds=("parquet", "polars", "pydantic"),
)
def raw_items(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], store: ArtifactStore
) -> Path:
    """Valid metadata, one row an item, with a category where the file has none."""
    from beauty_rec.corpus.intake.given import with_items
    from beauty_rec.corpus.intake.ingest import ingest_items
    from beauty_rec.corpus.schema import ITEM_SCHEMA

    given = given_rows(settings, store, "items", ingest_items)
    ingest = partial(ingest_items, kept=kept_parts(context, settings, users=False))
    made, refused = ingest_file(context, settings, store, "items", ingest, ITEM_SCHEMA)
    if given is None:
        return in_parts(context, store, made, refused)
    priced = given.filter(title="")  # an item that was given has a title
    prices = dict(priced.select("parent_asin", "price").iter_rows())
    made = with_items(taken_in(made), given.filter(pl.col("title") != ""), prices)
    return in_parts(context, store, made, refused)


@stage(
    group=GROUP,
    io="frames",
    settings=("corpus",),
    read_as=(ROWS,),
    deps=[profiles_file, forgotten_users],
    kinds=("parquet", "polars", "pydantic"),
)
def user_profiles(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], store: ArtifactStore
) -> Path:
    """Profiles, one row a user, one column a field; empty when none were given."""
    from beauty_rec.corpus.intake.profiles import ingest_profiles

    empty = {"user_id": pl.String}
    draft, refused = ingest_file(context, settings, store, "profiles", ingest_profiles, empty)
    made = without_forgotten(context, settings, draft, time=None)
    return in_parts(context, store, made, refused)


@stage(
    group=GROUP,
    io="frames",
    settings=("corpus", "ranking.max_user_events"),
    kinds=("parquet", "polars"),
)
def split_reviews(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    store: ArtifactStore,
    raw_reviews: pl.LazyFrame,
) -> Path:
    """Reviews with their split, cut by time; rows of one instant are on one side of a cut."""
    from beauty_rec.corpus import split as time_split
    from beauty_rec.events.queries import crowded

    times = raw_reviews.select("timestamp").collect()["timestamp"]
    cuts = time_split.cut_times(times, settings.corpus)
    draft = store.draft("split_reviews.parquet")
    write_rows(time_split.split_reviews(raw_reviews, cuts), draft)
    reviews = pl.scan_parquet(draft, glob=False)
    context.set_data_version(context.asset_key, dg.DataVersion(encode_parts(_versions(reviews))))
    if warning := crowded(reviews, settings.ranking.max_user_events):
        context.log.warning(warning)
    counts = reviews.group_by("split").len().collect(engine="streaming")
    rows = {f"rows_{split}": int(counts.filter(split=split)["len"].sum()) for split in SPLITS}
    context.add_asset_metadata(
        {
            **frame_metadata("split_reviews", reviews),
            "train_end_ms": cuts.train_end_ms,
            "valid_end_ms": cuts.valid_end_ms,
            "train_end": dg.MetadataValue.timestamp(cuts.train_end_ms / 1000),
            "valid_end": dg.MetadataValue.timestamp(cuts.valid_end_ms / 1000),
            **rows,
        }
    )
    return draft


def _versions(reviews: pl.LazyFrame) -> dict[str, str]:
    """Return a version of each split's rows, and of the set of items, which is all that a
    measurement on one split needs to know of the others."""

    def digest(rows: pl.LazyFrame) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            write_rows(rows, path, "lz4")
            return content_hash(path)[:16]

    parts: dict[str, str] = {split: digest(reviews.filter(split=split)) for split in SPLITS}
    items = reviews.select("parent_asin").unique().sort("parent_asin")
    return {**parts, "items": digest(items)}


def _few_refused_rows(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Return the check that stops a run when too large a share of a file was refused."""

    @dg.asset_check(
        asset=asset,
        blocking=True,
        description="At most corpus.max_refused_share of the file's rows were refused.",
    )
    def few_refused_rows(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        counts = latest_metadata(context.instance, asset.key)
        read, refused = counts.get("rows_read", 0), counts.get("rows_refused", 0)
        limit = settings.corpus.max_refused_share
        return dg.AssetCheckResult(
            passed=refused <= limit * read,
            metadata={"rows_read": read, "rows_refused": refused, "limit": limit},
            description=(
                f"{refused:,} of {read:,} rows were refused; look at {counts.get('quarantine')}, "
                f"mend the file, or raise corpus.max_refused_share = {limit}"
            ),
        )

    return few_refused_rows


checks = [
    *(_few_refused_rows(asset) for asset in (raw_reviews, raw_items, user_profiles)),
    value_check(
        raw_reviews,
        "each_event_once",
        pl.LazyFrame,
        lambda frame, _: verdicts.unique(frame, ["user_id", "parent_asin", "timestamp"]),
        "No user reviewed an item twice at one instant.",
    ),
    value_check(
        raw_items,
        "each_item_once",
        pl.LazyFrame,
        lambda frame, _: verdicts.unique(frame, ["parent_asin"]),
        "No item has two rows.",
    ),
    value_check(
        user_profiles,
        "each_user_once",
        pl.LazyFrame,
        lambda frame, _: verdicts.unique(frame, ["user_id"]),
        "No user has two profiles.",
    ),
    value_check(
        split_reviews,
        "splits_in_time",
        pl.LazyFrame,
        lambda frame, _: verdicts.splits_in_time(frame),
        "Every split has rows, and all of train lies before valid, all of valid before test.",
    ),
    value_check(
        split_reviews,
        "split_sizes",
        pl.LazyFrame,
        lambda frame, settings: verdicts.split_sizes(
            frame, settings.corpus, settings.checks.max_split_drift
        ),
        "The splits have about the shares of rows that the settings ask for.",
        blocking=False,
    ),
]
