"""Sources [raw]: what the shop gave over the API, and who is forgotten."""

import dagster as dg

from beauty_rec.artifacts import text_hash
from beauty_rec.corpus.intake.given import GivenKind, taken_path
from beauty_rec.orchestration.catalogue.docs_link import docs_link
from beauty_rec.settings import Settings

GROUP = "raw"


def _source(name: str, kind: GivenKind, description: str) -> dg.SourceAsset:
    @dg.observable_source_asset(
        name=name,
        group_name=GROUP,
        metadata=docs_link(),
        description=f"{description} Its data version is a hash of what the store holds when it is "
        "observed; none where there is no store.",
    )
    def observe(settings: dg.ResourceParam[Settings]) -> dg.ObserveResult:
        from beauty_rec.serving.state.taking import take

        text = take(settings, kind)
        if not text:
            return dg.ObserveResult(data_version=dg.DataVersion("none"))
        path = taken_path(settings.data_dir, kind)
        return dg.ObserveResult(
            data_version=dg.DataVersion(text_hash(text)),
            metadata={"path": dg.MetadataValue.path(str(path)), "bytes": len(text.encode())},
        )

    return observe


shop_events = _source("shop_events", "events", "Events that were given over the API.")
shop_items = _source("shop_items", "items", "Items and prices that were given over the API.")
forgotten_users = _source("forgotten_users", "forgotten", "Users who are forgotten, as hashes.")
