"""Work on frames that a step spreads over a Ray cluster, by Ray Data.

With ``execution.executor=ray`` a step is a job of the cluster. What it does to one frame after the
other it hands to Ray Data's actors, as many as the cluster has room for; frames come back in their
order. Anywhere else, and where there is no room, the step does the same work itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from beauty_rec.settings import Settings

Work = Callable[[pl.DataFrame], pl.DataFrame]
"""Makes of a frame another one with as many rows, each of which depends on its own row alone."""


def spread(
    settings: Settings,
    frames: Iterable[pl.DataFrame],
    make: Callable[..., Work],
    *arguments: object,
    gpu: bool = False,
) -> Iterator[pl.DataFrame]:
    """Yield what ``make(*arguments)`` makes of each frame, in order.

    Args:
        settings: of the run.
        frames: what is worked on. All go to Ray's object store, which moves to its disk what does
            not fit.
        make: called once by every process that works; a function or class of a module.
        arguments: its own, plain values: a worker may be on another machine.
        gpu: whether each worker takes a GPU where the cluster has any.
    """
    workers, device = room(gpu=gpu) if settings.execution.executor == "ray" else (0, {})
    if workers == 0:
        yield from map(make(*arguments), frames)
        return
    import ray
    import ray.data

    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ray.data.DataContext.get_current().enable_progress_bars = False
    heights: list[int] = []
    blocks = []
    empty = pl.DataFrame()
    for frame in frames:
        heights.append(frame.height)
        if frame.height:  # a block of no rows may be left out on the way
            blocks.append(ray.put(frame.to_arrow()))
        else:
            empty = frame
    parts: Iterable[pl.DataFrame] = ()
    if blocks:
        made = ray.data.from_arrow_refs(blocks).map_batches(
            _Worker,
            fn_constructor_args=(make, arguments),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(workers, len(blocks))),
            **device,
        )
        batches = made.iter_batches(batch_size=None, batch_format="pyarrow")
        parts = (pl.DataFrame(pl.from_arrow(table)) for table in batches)
    yield from regrouped(parts, heights, lambda: make(*arguments)(empty))


def room(*, gpu: bool) -> tuple[int, dict[str, float]]:
    """Return how many workers this job's cluster has room for now, and what each of them takes."""
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False)  # a job finds its cluster in its environment
    free: dict[str, float] = ray.available_resources()
    if gpu and ray.cluster_resources().get("GPU"):
        return int(free.get("GPU", 0)), {"num_gpus": 1}
    return int(free.get("CPU", 0)), {"num_cpus": 1}


def regrouped(
    parts: Iterable[pl.DataFrame], heights: Sequence[int], of_none: Callable[[], pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """Yield the rows of ``parts`` in frames of ``heights`` rows: Ray Data may cut blocks anew.

    A frame of no rows is ``of_none()``.
    """
    rest = iter(parts)
    waiting = pl.DataFrame()
    for height in heights:
        if height == 0:
            yield of_none()
            continue
        while waiting.height < height:
            part = next(rest)
            waiting = part if waiting.height == 0 else pl.concat([waiting, part])
        yield waiting[:height]
        waiting = waiting[height:]


class _Worker:
    """Lives in a process of the cluster for as long as there are blocks."""

    def __init__(self, make: Callable[..., Work], arguments: Sequence[object]) -> None:
        self._work = make(*arguments)

    def __call__(self, table: Any) -> Any:
        return self._work(pl.DataFrame(pl.from_arrow(table))).to_arrow()
