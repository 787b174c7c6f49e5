"""Assets [raw] [evaluation]: what was shown by the server, and what came of it."""

import dagster as dg
import polars as pl

from beauty_rec.orchestration.catalogue.docs_link import docs_link
from beauty_rec.orchestration.catalogue.online import online_metadata
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.settings import Settings


@dg.observable_source_asset(
    group_name="raw",
    metadata=docs_link(),
    description="Answers that the server showed, and the events that name one, in its store. Its "
    "data version stands for all of them; none where nothing was shown.",
)
def shop_impressions(
    context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.ObserveResult:
    """Look at the store; while it is away, what was seen last counts."""
    import psycopg

    from beauty_rec.serving.state.shown.reading import NOTHING, shown_version

    try:
        version = shown_version(settings)
    except (psycopg.Error, RuntimeError, OSError) as error:
        key = dg.AssetKey("shop_impressions")
        records = context.instance.fetch_observations(key, limit=1).records
        last = records[0].asset_observation if records else None
        version = (last and last.data_version) or NOTHING
        context.log.warning(f"the store is away: {type(error).__name__}")
    return dg.ObserveResult(data_version=dg.DataVersion(version))


@stage(
    group="evaluation",
    io="frames",
    settings=("evaluation.bootstrap_samples", "evaluation.seed"),
    deps=[shop_impressions],
    kinds=("postgres", "polars", "matplotlib"),
    retries=True,
)
def online_metrics(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> pl.DataFrame:
    """Click-through, conversion and coverage of what was shown, by version, source and position."""
    from beauty_rec.evaluation.online.outcomes import outcomes
    from beauty_rec.evaluation.online.rates import online_rates
    from beauty_rec.serving.state.experiment.commands import began
    from beauty_rec.serving.state.shown.reading import read_shown

    shown = read_shown(settings)
    rates = online_rates(
        outcomes(shown.impressions, shown.events),
        samples=settings.evaluation.bootstrap_samples,
        seed=settings.evaluation.seed,
        experiments=began(settings.data_dir / "serving"),
    )
    context.add_asset_metadata(online_metadata(rates))
    return rates
