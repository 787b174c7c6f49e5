"""Which models and measures a refresh makes anew.

What is kept was asked of the events of an earlier day. A list or a metric that is made anew of it
would be held against today's events: other ones, since each night moves the cuts of the splits. So
what is measured is kept only with all that is made of it.
"""

from collections.abc import Callable, Collection, Mapping

from beauty_rec.orchestration.dagster_internals import AssetKeyPartitionKey
from beauty_rec.orchestration.refresh.kept import Kept, Stale


def made_anew(
    kept: Kept,
    inputs: Mapping[AssetKeyPartitionKey, Collection[AssetKeyPartitionKey]],
    stale: Callable[[AssetKeyPartitionKey], Stale | None],
) -> set[AssetKeyPartitionKey]:
    """Return the models and measures (and splits) that are built, now or later in a refresh.

    Args:
        kept: what is left as it is.
        inputs: of each model and measure (and split).
        stale: why one has to be built, as far as is known now; None: it is fresh.
    """

    def begins(place: AssetKeyPartitionKey) -> bool:
        found, name = stale(place), place.asset_key.to_user_string()
        return kept.forces(name) or (
            found is not None and not (found.by_data and kept.keeps(name, found.changed))
        )

    def follows(place: AssetKeyPartitionKey) -> bool:
        changed = {above.asset_key.to_user_string() for above in inputs[place] if above in found}
        return bool(changed) and not kept.keeps(place.asset_key.to_user_string(), changed)

    def is_read(place: AssetKeyPartitionKey) -> bool:
        return (
            place.asset_key.to_user_string() in kept.measures
            and stale(place) is not None
            and any(place in inputs[below] for below in found)
        )

    found = {place for place in inputs if begins(place)}
    while more := {p for p in inputs.keys() - found if follows(p) or is_read(p)}:
        found |= more
    return found
