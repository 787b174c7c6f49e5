"""Judgements on what is served, beside its parts and plain baselines, and on what is not served.

They read what :mod:`~beauty_rec.orchestration.catalogue.metrics` records of each scenario.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from beauty_rec.orchestration.catalogue.metrics import ORDER, PARTS
from beauty_rec.orchestration.checks.verdicts import JUDGED, Facts, Verdict


def loses_to_none(now: Mapping[str | None, Facts], against: str) -> Verdict:
    """What is served must not lose beyond chance to anything that it stands beside.

    Args:
        now: facts by split, of them ``<scenario> <against>``: other → ``served``, ``other``, ``p``.
        against: the name of what it is held against.
    """
    from beauty_rec.evaluation.answer import CHOOSE_ANEW
    from beauty_rec.measures.significance import beyond_chance
    from beauty_rec.recommender.orders import CHALLENGERS

    remedy = (
        f"; choose among the orders anew: {CHOOSE_ANEW}; where none of them is as good, train "
        "anew: beauty-rec run --train always"
    )
    several = CHALLENGERS if against == PARTS else 1  # as they are chosen, see champion.py
    figures: dict[str, Any] = {}
    lost: list[str] = []
    led: list[str] = []
    for split in JUDGED:
        for scenario, tests in _by_scenario(now.get(split, {}), against).items():
            asked = f"{split} {scenario.replace('_', ' ')}"
            best = max(tests, key=lambda other: tests[other]["other"])
            for other, test in tests.items():
                loses = test["other"] > test["served"] and beyond_chance(test["p"], several)
                if loses or other == best:
                    figures[f"{asked}: served"] = test["served"]
                    figures[f"{asked}: {other}"] = test["other"]
                    figures[f"{asked}: p, {other}"] = test["p"]
                    line = f"{asked}: served {test['served']:.4f}, {other} {test['other']:.4f}"
                    (lost if loses else led).append(f"{line} (p = {test['p']:.3f})")
    text = "; ".join(lost or led) or "not measured on valid or test yet"
    return Verdict(not lost, f"NDCG@10, {text}{remedy if lost else ''}", figures)


def unless_served(verdict: Verdict, stage: str, now: Mapping[str | None, Facts]) -> Verdict:
    """Return the verdict on a ``stage``; where other orders are served it says so."""
    said = [name for split in JUDGED for name in _by_scenario(now.get(split, {}), ORDER).values()]
    served = sorted({order for names in said for order in names.split(", ")})
    if not served or stage in served:
        return verdict
    return replace(verdict, text=f"{verdict.text}; it is not served: {', '.join(served)} is")


def _by_scenario(facts: Facts, name: str) -> dict[str, Any]:
    """Return the facts of a name by scenario."""
    ending = f" {name}"
    return {fact.removesuffix(ending): facts[fact] for fact in facts if fact.endswith(ending)}
