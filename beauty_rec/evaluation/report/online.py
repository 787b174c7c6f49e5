"""What people did with what they were shown, as a part of the page: the ``online`` block."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("Answers", "Shown", "CTR [95%]", "Conversion [95%]", "Coverage", "CTR, all first")
CHARS = 14
"""Of a version that are shown."""
ONLINE_LEGEND = (
    "CTR: shown items that were clicked, put into the cart or bought; conversion: bought; "
    "coverage: of the catalogue. Users are drawn whole. All first: the CTR as if every item had "
    "stood at the first position, by inverse propensity; a dash where positions do not vary enough."
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
            if dimension == "position" or (dimension != "all" and len(values) < 2):
                continue
            for value, figures in values.items():
                rows.append(
                    (
                        kind if dimension == "all" else f"{dimension} {value[:CHARS]}",
                        f"{figures['shown']:,}",
                        _share(figures, "ctr", "ctr"),
                        _share(figures, "conversion", "conversion"),
                        "–" if "coverage" not in figures else f"{figures['coverage']:.1%}",
                        _share(figures, "debiased_ctr", "debiased"),
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
    low, high = figures[f"{ends}_low"], figures[f"{ends}_high"]
    return f"{figures[name]:.2%} [{100 * low:.2f}, {100 * high:.2f}]"
