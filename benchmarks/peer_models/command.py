"""The command line of a peer: a shop's folder, where its ranks go, and a seed."""

import argparse
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peer_models.exchange import HELD_OUT, ScoresOf, Shop, ranks_of, write_ranks

Fit = Callable[[Shop, int], tuple[ScoresOf, Mapping[str, Any]]]
"""Shop and seed → the scores of what was chosen on valid, and the choice."""


def run_peer(fit: Fit) -> None:
    """Fit, and write the ranks of valid and test; test is asked here, once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shop", type=Path, help="folder of the shop")
    parser.add_argument("target", type=Path, help="ranks.npz")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="implicit")  # it converts its own matrices
    shop = Shop.read(options.shop)
    scores, choice = fit(shop, options.seed)
    ranks = {split: ranks_of(shop, scores, split) for split in HELD_OUT}
    write_ranks(options.target, ranks, choice)
