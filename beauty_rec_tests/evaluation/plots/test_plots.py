import subprocess
import sys

import numpy as np
import pytest

from beauty_rec.evaluation.block import metric_block
from beauty_rec.evaluation.plots.ranks import rank_histogram, recall_curves
from beauty_rec.evaluation.plots.training import (
    calibration_plot,
    epoch_curves,
    loss_curve,
    step_curves,
)

RANKS = np.random.default_rng(1).integers(1, 900, 80).astype(float)
RUN = [{"steps": 5.0, "loss": 0.3}, {"steps": 10.0, "loss": 0.2}]
BLOCK = metric_block(RANKS, samples=100)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: recall_curves({"valid": {"bm25": BLOCK, "x": BLOCK}, "test": {}}, title="R"),
        lambda: recall_curves({}, title="nothing measured"),
        lambda: rank_histogram({"bm25": RANKS}, 900, title="H", answerable=RANKS < 500),
        lambda: rank_histogram({"bm25": np.ones(3)}, 1, title="one item"),
        # Kept ranks of a catalogue that has shrunk since.
        lambda: rank_histogram({"bm25": RANKS, "x": np.full(80, 899.5)}, 100, title="less"),
        lambda: loss_curve(
            range(50), np.linspace(3, 1, 50).tolist(), evaluations=[(20, 0.1), (40, 0.2)]
        ),
        lambda: loss_curve([1], [0.5], note="synthetic sample"),
        lambda: epoch_curves(
            [{"purity": 0.1}, {"purity": 0.2}],
            ["purity"],
            title="E",
            references={"start": {"purity": 0.05}, "unknown": {"purity": float("nan")}, "x": {}},
        ),
        lambda: step_curves({"with": [RUN, RUN], "without": [RUN]}, ["loss"], title="S"),
        lambda: calibration_plot(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.9])),
    ],
)
def test_plots_are_png_pictures(draw):
    assert draw().startswith(b"\x89PNG\r\n")


def test_nothing_heavy_is_imported_with_the_library():
    program = (
        "import sys, beauty_rec.evaluation.plots.ranks, beauty_rec.evaluation.plots.training, "
        "beauty_rec.evaluation.report.markdown\n"
        "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
