"""The job that promotes a variant of the experiment: what `beauty-rec experiment promote` does."""

import dagster as dg
from pydantic import Field


class PromoteConfig(dg.Config):
    """Which variant."""

    variant: str | None = Field(
        None, description="unset: the one that the test has found better, if any"
    )


@dg.op(
    required_resource_keys={"settings"},
    description="Serves a variant to everybody, and ends the experiment.",
    out=dg.Out(dict, description="what is served, and why"),
)
def promote_variant_op(context: dg.OpExecutionContext, config: PromoteConfig) -> dict[str, str]:
    """Promote a variant; without a name and a finding nothing changes."""
    from beauty_rec.serving.state.experiment.commands import (
        NothingFound,
        promote_variant,
        status,
    )

    settings = context.resources.settings
    if config.variant is None and status(settings)["state"] == "none":
        found = {"promoted": "none", "why": "no experiment runs"}
    else:
        try:
            name, release = promote_variant(settings, config.variant)
            found = {"promoted": name, "set": release.set or "the newest", "why": release.why}
        except NothingFound as error:
            found = {"promoted": "none", "why": str(error)}
        except ValueError as error:
            raise dg.Failure(str(error)) from error
    context.log.info(f"promoted {found['promoted']}: {found['why']}")
    context.add_output_metadata(dict(found))
    return found


@dg.job(
    name="promote",
    description="Serves a variant of the running experiment to everybody, and ends it: by default "
    "the one that the test has found better; without one nothing changes.",
    tags={"beauty_rec/job": "promote"},
    executor_def=dg.in_process_executor,
)
def promote() -> None:
    promote_variant_op()
