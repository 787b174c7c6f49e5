"""The plan as lines of text."""

from collections.abc import Iterator

from beauty_rec.cli.plan.make import Plan
from beauty_rec.cli.plan.stages import GB, Line
from beauty_rec.retriever.model_files import fetch_command

HEAD = f"{'stage':<34} {'hours':>8} {'memory':>8} {'GPU':>8} {'disk':>8}  work"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the machine, the data, the rates, a line a stage, the sums, and what does not fit."""
    machine, data = plan.machine, plan.data
    gpu = f"{machine.gpu}, {machine.gpu_memory / GB:.0f} GB" if machine.gpu else "no GPU"
    yield (
        f"machine  {gpu}, {machine.memory / GB:.0f} GB of memory, "
        f"{machine.free_disk / GB:.0f} GB of disk free"
    )
    yield (
        f"data     {data.reviews:,} reviews ({data.train_reviews:,} train), {data.items:,} items, "
        f"{data.pairs:,} pairs; tokens: item {data.item_tokens:.0f}, query "
        f"{data.query_tokens:.0f}, positive {data.positive_tokens:.0f}, title "
        f"{data.title_tokens:.0f}"
    )
    for shape in {shape.name: shape for shape in (plan.encoder, plan.titles)}.values():
        where = "" if shape.here else f"; not on this machine: {fetch_command(shape.name)}"
        yield f"model    {shape.name}, {shape.parameters / 1e6:,.0f} M parameters{where}"
    rates = plan.tuning_rates
    items = plan.encoder_rates
    rounded = f" ({items.int8:,.0f} in int8)" if items.int8 else ""
    yield (
        f"rates    measured here on {rates.device} in {rates.precision}: "
        f"{items.encode:,.0f} tokens/s encoded{rounded}, {rates.train:,.0f} trained, "
        f"{rates.update:.3g} s an update"
    )
    yield HEAD
    for line in plan.lines:
        yield _row(line)
    yield _row(
        Line(
            "in all",
            "without what has no rate" if any(x.seconds is None for x in plan.lines) else "",
            plan.seconds,
            max(line.memory for line in plan.lines),
            max(line.gpu_memory for line in plan.lines),
            plan.disk,
        )
    )
    yield f"written  {sum(line.written for line in plan.lines) / GB:,.2f} GB, checkpoints included"
    yield from shortages(plan)


def shortages(plan: Plan) -> Iterator[str]:
    """Yield what this machine lacks, with the remedy."""
    for line in plan.lines:
        if line.memory > plan.machine.memory:
            yield f"lacking  {line.asset} needs {line.memory / GB:.1f} GB of memory"
        if plan.machine.gpu and line.gpu_memory > plan.machine.gpu_memory:
            yield (
                f"lacking  {line.asset} needs {line.gpu_memory / GB:.1f} GB of GPU memory; "
                "lower fine_tune.chunk_tokens or encoder.batch_tokens"
            )
    if plan.disk > plan.machine.free_disk:
        yield (
            f"lacking  {plan.disk / GB:.1f} GB of disk, {plan.machine.free_disk / GB:.1f} GB are "
            "free; make room or name another --data-dir"
        )


def _row(line: Line) -> str:
    names = line.asset.split(", ")
    name = line.asset if len(line.asset) <= 34 else f"{names[0]} … {names[-1]}"
    hours = "?" if line.seconds is None else f"{line.seconds / 3600:.3f}"
    sizes = (line.memory, line.gpu_memory, line.disk)
    shown = " ".join(f"{f'{size / GB:.2f}' if size else '-':>8}" for size in sizes)
    return f"{name:<34} {hours:>8} {shown}  {line.work}".rstrip()
