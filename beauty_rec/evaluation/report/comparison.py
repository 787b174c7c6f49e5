"""Does a stage beat its baselines? Read from the blocks of ``report.json``, put plainly."""

from collections.abc import Mapping
from dataclasses import dataclass

from beauty_rec.evaluation.block import Block
from beauty_rec.evaluation.report.document import BASELINES
from beauty_rec.measures.significance import ALPHA

MARKS = {"wins": "▲", "ahead": "△", "level": "=", "behind": "▽", "loses": "▼"}
_MARKED = (
    "▲ / ▼ better / worse than the best baseline of that metric, p < 0.05; "
    "△ / ▽ better / worse, not significant; = level. Paired on the same queries: "
)
_SIDES = "two-sided, not adjusted for the number of tests."
LEGENDS = {
    "retrieval": f"{_MARKED}exact McNemar for recall, random sign flips for MRR and NDCG; {_SIDES}",
    "recommendation": f"{_MARKED}random sign flips, those of a user's events together, as in the "
    f"intervals; {_SIDES}",
}
ANSWER_LEGEND = (
    "The same marks, against the best of what an order is made of or stands beside; below a table "
    "what is served beside the best order and the best plain baseline of the same asks. Users are "
    "resampled whole: intervals and tests are clustered by user."
)
TITLES = {"mrr": "MRR", "ndcg@10": "NDCG@10"}


@dataclass(frozen=True)
class Verdict:
    """A stage beside one other method on one metric; the values are means over queries."""

    stage: str
    reference: str
    metric: str
    value: float
    reference_value: float
    interval: tuple[float, float] | None
    p: float

    @property
    def difference(self) -> float:
        """Stage minus reference."""
        return self.value - self.reference_value

    @property
    def outcome(self) -> str:
        """``wins``, ``ahead``, ``level``, ``behind`` or ``loses``; the first and last: p < 0.05."""
        if self.difference == 0:
            return "level"
        if self.difference > 0:
            return "wins" if self.p < ALPHA else "ahead"
        return "loses" if self.p < ALPHA else "behind"

    @property
    def mark(self) -> str:
        """The outcome as one character."""
        return MARKS[self.outcome]

    def sentence(self) -> str:
        """Return the verdict in words, for people."""
        words = {
            "wins": "beats",
            "ahead": "is ahead of, not significantly,",
            "level": "is level with",
            "behind": "is BEHIND, not significantly,",
            "loses": "LOSES to",
        }[self.outcome]
        ratio = f" (×{self.value / self.reference_value:.2f})" if self.reference_value else ""
        ends = "" if self.interval is None else " [{:+.4f}, {:+.4f}]".format(*self.interval)
        return (
            f"{self.stage} {words} {self.reference} on {title_of(self.metric)}: "
            f"{self.value:.4f} against {self.reference_value:.4f}{ratio}, "
            f"difference {self.difference:+.4f}{ends}, {format_p(self.p)}"
        )


def best_baseline(section: Mapping[str, Block], stage: str, metric: str) -> Verdict | None:
    """Return the stage beside its strongest baseline on ``metric``; None if none was measured.

    The strongest is chosen on the split that is shown, which is against the stage.
    """
    known = [
        verdict
        for verdict in all_verdicts(section, stage, metric)
        if verdict.reference in BASELINES
    ]
    return max(known, key=lambda verdict: verdict.reference_value, default=None)


def best_part(section: Mapping[str, Block], stage: str, metric: str) -> Verdict | None:
    """Return the stage beside the best of the orders it was tested against; None if there is none.

    The best is chosen on the split that is shown, which is against the stage.
    """
    known = other_stages(section, stage, metric)
    return max(known, key=lambda verdict: verdict.reference_value, default=None)


def other_stages(section: Mapping[str, Block], stage: str, metric: str) -> list[Verdict]:
    """Return the stage beside each method that is no baseline (reranked beside user_tower)."""
    return [
        verdict
        for verdict in all_verdicts(section, stage, metric)
        if verdict.reference not in BASELINES
    ]


def served_verdicts(section: Mapping[str, Block], metric: str) -> list[Verdict]:
    """Return what is served beside the best order and the best baseline, those that there are."""
    best = (compared(section, "served", metric) for compared in (best_part, best_baseline))
    return [verdict for verdict in best if verdict is not None]


def all_verdicts(section: Mapping[str, Block], stage: str, metric: str) -> list[Verdict]:
    """Return the stage beside everything it was tested against on ``metric``."""
    block = section.get(stage) or {}
    found = []
    for reference, tests in (block.get("versus") or {}).items():
        test = tests.get(metric)
        if test and section.get(reference):
            ends = test["interval"]
            found.append(
                Verdict(
                    stage=stage,
                    reference=reference,
                    metric=metric,
                    value=block[metric],
                    reference_value=section[reference][metric],
                    interval=None if ends is None else (ends[0], ends[1]),
                    p=test["p"],
                )
            )
    return found


def title_of(metric: str) -> str:
    """Return a metric's name as people write it."""
    return TITLES.get(metric, metric.capitalize())


def format_p(p: float) -> str:
    """Return ``p = 0.0123``, or ``p < 0.0001``."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"
