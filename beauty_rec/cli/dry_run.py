"""What a run would do, found out without writing to the data folder."""

from collections.abc import Iterator

from beauty_rec.settings import Measure, Settings, Split, Train
from beauty_rec.verified import nothing_kept


def dry_lines(
    settings: Settings,
    select: str | None,
    partition: Split | None,
    *,
    force: bool,
    train: Train,
    measure: Measure,
) -> Iterator[str]:
    """Yield what a run would do and why; nothing is written to the data folder."""
    from beauty_rec.orchestration.code_location import build_definitions
    from beauty_rec.orchestration.refresh.refresh import observe_sources, plan, preview
    from beauty_rec.orchestration.storage.dagster_home import open_copy

    with nothing_kept():
        definitions = build_definitions(settings)
        steps = plan(definitions, select, partition)
        with open_copy(settings.data_dir) as instance:
            reviews = settings.inputs["reviews"]
            missing = settings.reviews is None and reviews is not None and not reviews.is_file()
            if not missing:  # a sample that is not there yet is what it was
                observe_sources(definitions, instance)
            for step, verdict, reason in preview(
                definitions, instance, steps, force=force, train=train, measure=measure
            ):
                yield f"{verdict:<7} {step!s:<34} {reason}".rstrip()
