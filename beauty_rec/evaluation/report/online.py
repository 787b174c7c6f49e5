"""What people did with what they were shown, as a part of the page: the ``online`` block."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("Answers", "Shown", "CTR [95%]", "Conversion [95%]", "Coverage", "CTR, all first",
        "CTR to control [95%], p")  # fmt: skip
WHOLE = ("all", "experiment")
"""Dimensions whose only value says something, too."""
CHARS = 14
"""Of a version that are shown."""
ONLINE_LEGEND = (
    "CTR: shown items that were clicked, put into the cart or bought; conversion: bought; "
    "coverage: of the catalogue. Users are drawn whole. All first: the CTR as if every item had "
    "stood at the first position, by inverse propensity; a dash where positions do not vary "
    "enough. To control: of variants of an experiment, valid whenever it is looked at."
)


def online_rows(online: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return the cells of a row for each kind of answer, and each version, variant, order, source.

    A part that is all there is of its kind says nothing more and is left out; positions, too.
    """
    rows: list[Sequence[str]] = []
    for kind, dimensions in online.items():
        if not isinstance(dimensions, Mapping):
            continue
        for dimension, values in dimensions.items():
            if dimension == "position" or (dimension not in WHOLE and len(values) < 2):
                continue
            for value, figures in values.items():
                shown = value if dimension == "experiment" else value[:CHARS]
                rows.append(
                    (
                        kind if dimension == "all" else f"{dimension} {shown}",
                        f"{figures['shown']:,}",
                        _share(figures, "ctr", "ctr"),
                        _share(figures, "conversion", "conversion"),
                        "–" if "coverage" not in figures else f"{figures['coverage']:.1%}",
                        _share(figures, "debiased_ctr", "debiased"),
                        _compared(figures),
                    )
                )
    return rows


def online_title(online: Mapping[str, Any]) -> str:
    """Return the title with the days."""
    first, last = online["days"]
    return f"Online, {first}" if first == last else f"Online, {first} to {last}"


def _share(figures: Mapping[str, Any], name: str, ends: str) -> str:
    if name not in figures:
        return "–"
    if f"{ends}_low" not in figures:
        return f"{figures[name]:.2%}"
    low, high = figures[f"{ends}_low"], figures[f"{ends}_high"]
    return f"{figures[name]:.2%} [{100 * low:.2f}, {100 * high:.2f}]"


def _compared(figures: Mapping[str, Any]) -> str:
    if "difference" not in figures:
        return "–"
    low, high = figures["difference_low"], figures["difference_high"]
    return f"{figures['difference']:+.2%} [{100 * low:+.2f}, {100 * high:+.2f}], {figures['p']:.2g}"
