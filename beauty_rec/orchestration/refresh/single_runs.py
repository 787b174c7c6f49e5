"""Runs that no refresh started: by hand in the UI, of backfills, of the sensor `rebuild_on_change`.

Their steps wait while a refresh runs, and a refresh does not begin while they build.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from beauty_rec.orchestration.refresh.dead_runs import (
    RUN_TAG,
    is_launched,
    launched_process,
    life_tags,
)
from beauty_rec.orchestration.refresh.lock import REFRESH_TAG, step_turn

MOST_WAITS = 1_000
"""For one refresh after the other."""


@contextmanager
def beside_no_refresh(context: dg.AssetExecutionContext, data_dir: Path) -> Iterator[None]:
    """Hold a step's turn of the data folder; a refresh holds that of its own steps.

    Dagster's home need not lie in the folder: ``dagster dev`` has one of its own unless told.

    Raises:
        RetryRequested: a refresh ended meanwhile; the step reads its inputs again.
    """
    instance, run = context.instance, context.run
    if instance.is_ephemeral or (REFRESH_TAG in run.tags and not is_launched(run)):
        yield
        return
    launched = launched_process(instance, run.run_id)
    if launched and launched[0] == os.getpid():
        instance.add_run_tags(run.run_id, {**life_tags(instance), RUN_TAG: run.run_id})
    alone = is_launched(run)  # Dagster ends such a process with its run, or its step
    with step_turn(data_dir, context.log.info, to_the_end=alone) as waited:
        if waited:  # Dagster read the inputs before: the refresh may have built them anew
            raise dg.RetryRequested(max_retries=MOST_WAITS)
        yield
