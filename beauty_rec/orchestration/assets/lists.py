"""Asset [ranking]: the best items of every user, for mails and caches."""

import dagster as dg
import polars as pl

from beauty_rec.orchestration.stage.stage import stage, used_code_version
from beauty_rec.settings import Settings

ANSWERS = (
    "serve.source_depth",
    "serve.diversity",
    "serve.out_of_stock",
    "serve.seen_events",
    *(f"serve.{kind}_weight" for kind in ("view", "click", "cart", "purchase")),
)
"""What answers depend on beside the set, and the shop's rules, which count as they are then."""


@stage(
    group="ranking",
    io="frames",
    settings=("lists", *ANSWERS),
    deps=["serving_manifest"],
    kinds=("pytorch", "polars"),
)
def user_lists(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> pl.DataFrame:
    """The best items of all users of the served set, as it answers them; empty unless enabled."""
    from beauty_rec.serving.lists import SCHEMA, make_lists

    if not settings.lists.enabled:
        context.add_asset_metadata({"users": 0, "off": "set lists.enabled to have them made"})
        return pl.DataFrame(schema=SCHEMA)
    made = make_lists(settings, used_code_version(context) or "")
    context.add_asset_metadata({"set": made.version, "users": made.users, "users_kept": made.kept})
    return made.frame
