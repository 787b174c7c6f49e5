"""What a run would do, found out without writing to the data folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from beauty_rec.cli.inputs import lacks_sample
from beauty_rec.settings import Measure, Settings, Split, Train
from beauty_rec.verified import nothing_kept


@contextmanager
def _with_inputs(settings: Settings) -> Iterator[Settings]:
    """Yield settings whose inputs are there: a sample that a run would write, elsewhere.

    Raises:
        ValueError: as of :func:`.inputs.lacks_sample`.
    """
    if not lacks_sample(settings):
        yield settings
        return
    from beauty_rec.sample import write_sample

    with TemporaryDirectory(prefix="beauty-rec-") as made:
        files = write_sample(Path(made), settings.sample)
        yield settings.model_copy(update=asdict(files))


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
            with _with_inputs(settings) as readable:
                observe_sources(build_definitions(readable), instance)
            for step, verdict, reason in preview(
                definitions, instance, steps, force=force, train=train, measure=measure
            ):
                yield f"{verdict:<7} {step!s:<34} {reason}".rstrip()
