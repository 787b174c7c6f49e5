"""Draws `transfer.png` from the tables of `results.md`: run it after a change of one of them.

python docs/transfer_picture.py
"""

import io
import json
import re
from pathlib import Path

import numpy as np

from beauty_rec.artifacts import text_hash
from beauty_rec.evaluation.plots.training import step_curves

PAGE, PICTURE = (Path(__file__).with_name(name) for name in ("results.md", "transfer.png"))
TABLE = re.compile(
    r"^\| (?P<shop>[^|]+), steps \|(?P<steps>.+)\| lowest \|\n\|[-:|]+\|\n"
    r"\| with transfer \|(?P<transferred>.+)\|.+\|\n\| without \|(?P<plain>.+)\|.+\|$",
    re.M,
)
LOSS = "valid_log_loss"
Curves = dict[str, list[list[dict[str, float]]]]


def curves(page: str) -> dict[str, Curves]:
    """Return, for each shop, the median losses with and without transfer as `step_curves` reads."""
    found = {}
    for table in TABLE.finditer(page):
        steps = [float(cell) for cell in table["steps"].split("|")]
        kinds = {"with transfer": table["transferred"], "without": table["plain"]}
        found[table["shop"]] = {
            kind: [
                [
                    {"steps": at, LOSS: float(loss)}
                    for at, loss in zip(steps, row.split("|"), strict=True)
                ]
            ]
            for kind, row in kinds.items()
        }
    return found


def digest(page: str) -> str:
    """Return 16 hex digits of the figures, which the picture keeps: so it tells what it shows."""
    return text_hash(json.dumps(curves(page)))[:16]


def picture(page: str) -> bytes:
    """Return the curves of all shops side by side, as PNG."""
    from matplotlib.image import imread, imsave

    drawn = [
        imread(io.BytesIO(step_curves(kinds, [LOSS], title=shop)))
        for shop, kinds in curves(page).items()
    ]
    joined = io.BytesIO()
    imsave(joined, np.concatenate(drawn, axis=1), format="png", metadata={"Source": digest(page)})
    return joined.getvalue()


if __name__ == "__main__":
    PICTURE.write_bytes(picture(PAGE.read_text(encoding="utf-8")))
