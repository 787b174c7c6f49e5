"""The state of an experiment on the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any


def served_line(name: str | None, settings: Mapping[str, object]) -> str:
    """Say what is served."""
    said = "".join(f", {key} {value}" for key, value in settings.items())
    return f"serves {'the newest set' if name is None else f'set {name}'}{said}"


def status_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of `beauty-rec experiment status`.

    Args:
        found: as ``/v1/experiment`` has it.
    """
    if found["refused"]:
        yield f"refused: {found['refused']}"
    if found["name"] is not None:
        yield f"experiment {found['name']} since {found['started_at']}: {found['verdict']}"
        head = f"{'variant':<16} {'share':>6} {'users':>8} {'shown':>9}"
        yield f"{head}  {'CTR [95%]':<22} conversion"
        for each in found["variants"]:
            name = each["name"] + (" *" if each["name"] == found["control"] else "")
            yield (
                f"{name:<16} {each['share']:>6.1%} {each['users']:>8,} {each['shown']:>9,}  "
                f"{_rate(each, 'ctr'):<22} {_rate(each, 'conversion')}"
            )
        for each in found["comparisons"]:
            if each["metric"] == found["metric"]:
                yield f"{each['variant']} against {each['control']}: {_compared(each)}"
    elif not found["refused"]:
        yield found["verdict"]
    served = found["served"]
    yield f"{served_line(served['set'], served['settings'])} ({served['why']})"
    for each in found["sets"]:
        marks = [name for name in ("served", "latest") if each[f"is_{name}"]]
        yield f"set {each['set']}  published {each['published_at']}  {' '.join(marks)}".rstrip()


def _rate(figures: Mapping[str, Any], name: str) -> str:
    if figures[name] is None or figures[f"{name}_low"] is None:
        return "–"
    low, high = 100 * figures[f"{name}_low"], 100 * figures[f"{name}_high"]
    return f"{figures[name]:.2%} [{low:.2f}, {high:.2f}]"


def _compared(each: Mapping[str, Any]) -> str:
    if each["low"] is None:
        return "too few users yet"
    lift = "" if each["lift"] is None else f" ({each['lift']:+.1%})"
    return (
        f"{each['metric']} {100 * each['difference']:+.2f} points{lift} "
        f"[{100 * each['low']:+.2f}, {100 * each['high']:+.2f}], p = {each['p']:.2g}"
    )
