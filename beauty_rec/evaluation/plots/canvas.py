"""What all plots share: style, colours, a figure that opens no window, PNG bytes.

matplotlib is imported inside the functions: loading the code location must not wait for it.
Colours are those of Okabe and Ito (Color Universal Design, 2008), told apart by people with any
common colour vision; a method also keeps its own marker.
"""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_FIXED = {
    "popularity": 6,
    "recent_popularity": 5,
    "context_popularity": 3,
    "bm25": 4,
    "item_cf": 4,
    "base_encoder": 3,
    "text_retriever": 0,
    "user_tower": 2,
    "reranked": 0,
}
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
}


def styled(draw: Callable[P, bytes]) -> Callable[P, bytes]:
    """Run ``draw`` with the style of this page, and leave matplotlib's own as it was."""

    @wraps(draw)
    def with_style(*args: P.args, **kwargs: P.kwargs) -> bytes:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return with_style


def new_figure(
    panels: int, title: str, note: str, *, rows: int = 1, width: float = 5.2, height: float = 4.2
) -> tuple["Figure", list["Axes"]]:
    """Return a titled figure and its axes, row by row.

    Args:
        panels: axes side by side.
        title: of the whole figure.
        note: small print in the upper right corner.
        rows: axes one below the other.
        width: inches of a panel.
        height: inches of the first row; each further row adds 60% of it.
    """
    from matplotlib.figure import Figure

    # A Figure of its own, without pyplot: nothing global to close, no backend to choose.
    figure = Figure(figsize=(width * panels, height * (1 + 0.6 * (rows - 1))), layout="constrained")
    grid = figure.subplots(rows, panels, squeeze=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    if note:
        figure.text(0.995, 0.99, note, ha="right", va="top", fontsize=9, color="#B00020")
    return figure, list(grid.ravel())


def to_png(figure: "Figure") -> bytes:
    """Return the figure as PNG bytes, 130 dots per inch."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130, facecolor="white")
    return picture.getvalue()


def look_of(method: str, shown: Sequence[str]) -> dict[str, Any]:
    """Return colour and marker of a method: its own if it has one, else by its place."""
    place = _FIXED.get(method, list(shown).index(method)) % len(COLOURS)
    return {"color": COLOURS[place], "marker": _MARKERS[place]}
