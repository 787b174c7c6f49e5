"""Orders of candidates: which there are, with what weights, and which of them is served.

The parts order candidates by one source each. ``hybrid`` adds those that read a text, ``fused``
all sources, ``gbdt`` and ``reranked`` a learned model of the features. Which one is answered with
is decided on valid for each kind of ask: nothing that loses to one of its parts is served.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.ranking.gbdt import unavailable
from beauty_rec.recommender.fusion import Weights, fused
from beauty_rec.recommender.sources import SOURCES, TEXT_SOURCES

Kind = Literal["nothing", "occasion", "text"]
"""Of an ask: no text, one of the occasions that train knows, or a text of its own."""
KINDS: tuple[Kind, ...] = ("nothing", "occasion", "text")
Learned = Literal["gbdt", "reranked"]
LEARNED: tuple[Learned, ...] = ("gbdt", "reranked")
COMBINED = ("hybrid", "fused", *LEARNED)
ORDERS = (*SOURCES, *COMBINED)
CHALLENGERS = len(COMBINED)
"""Orders that may take the place of another by a test each: one of them leads by luck often."""
FILE = "orders.json"

DEFAULT: dict[Kind, dict[str, float]] = {
    "nothing": {"user_tower": 1.0},
    "occasion": {"user_tower": 1.0},
    "text": {"text_retriever": 1.0, "lexical": 1.0, "titles": 0.35},
}
"""Where there is nothing to choose by."""


@dataclass(frozen=True)
class Orders:
    """Weights of each combined order by kind of ask, and what is served.

    Attributes:
        weights: order → kind → source or learned model → weight.
        scales: of the learned models: the best probability of an ask, on average.
        served: kind → order.
        reasons: kind → why that one, in a sentence.
        measured: kind → order → NDCG@10 on valid; of a text by weights of other users' asks.
    """

    weights: Mapping[str, Mapping[Kind, Weights]]
    scales: Mapping[str, float]
    served: Mapping[Kind, str]
    reasons: Mapping[Kind, str]
    measured: Mapping[Kind, Mapping[str, float]]

    @classmethod
    def plain(cls) -> "Orders":
        """Return what is served where nothing was learned: the text's hits, or the tower's."""
        return cls(
            {"hybrid": dict.fromkeys(KINDS, DEFAULT["text"]), "fused": DEFAULT},
            {},
            {"nothing": "user_tower", "occasion": "user_tower", "text": "hybrid"},
            dict.fromkeys(KINDS, "nothing was measured on valid"),
            {kind: {} for kind in KINDS},
        )

    def weights_of(self, order: str, kind: Kind) -> Weights:
        """Return the weights of an order for a kind of ask; empty when it has none for it."""
        if order in SOURCES:
            return {} if order in TEXT_SOURCES and kind == "nothing" else {order: 1.0}
        return self.weights.get(order, {}).get(kind, {})

    def needs(self, order: str, kind: Kind) -> list[Learned]:
        """Return the learned models whose scores an order needs."""
        return [name for name in LEARNED if self.weights_of(order, kind).get(name)]

    def fault(self, learned: Collection[str]) -> str | None:
        """Return why the ``learned`` models cannot answer what is served; None: they can.

        Without what its model says an order would fall back to that of the rows, in silence.
        """
        for kind, order in self.served.items():
            for name in self.needs(order, kind):
                if name not in learned:
                    why = (unavailable() if name == "gbdt" else None) or "the set lacks it"
                    return (
                        f"the order {order!r} of the ask {kind!r} needs the model {name!r}: {why}"
                    )
        return None

    def scores(
        self,
        order: str,
        kind: Kind,
        values: NDArray[np.float32],
        learned: Mapping[str, NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Return what an order thinks of candidates, float32 ``[C]``.

        Args:
            order: of :data:`ORDERS`.
            kind: of the ask.
            values: normalised scores of the sources, ``[C, S]``.
            learned: probabilities of the models that :meth:`needs` names, ``[C]`` each.
        """
        weights = self.weights_of(order, kind)
        names: Sequence[str] = [*SOURCES, *learned]
        scaled = [p / self.scales.get(name, 1.0) for name, p in learned.items()]
        table = np.column_stack([values, *scaled]) if learned else values
        return fused(table.astype(np.float32), names, weights)

    def save(self, folder: Path) -> None:
        """Write ``orders.json``, atomically."""
        document = {
            "weights": self.weights,
            "scales": self.scales,
            "served": self.served,
            "reasons": self.reasons,
            "measured": self.measured,
        }
        write_text_atomic(folder / FILE, json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Orders":
        """Read what :meth:`save` wrote."""
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
