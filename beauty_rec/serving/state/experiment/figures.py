"""What came of an experiment: figures of each variant, and how it compares with the control.

Counted in the store, so that all servers of a shop and all restarts count together. What counts is
what recommendations and batches showed; an event is owed to the answer that it names.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beauty_rec.measures.sequential import RatioSums, compare_rates
from beauty_rec.recommender.online.events import CLICKS, CONVERSIONS
from beauty_rec.recommender.online.experiments.file import METRICS, Experiment, Metric

Read = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

BY_VARIANT = """
    WITH shown AS (
        SELECT recommendation_id, variant, coalesce(user_id, recommendation_id) AS who, items
        FROM serving_impressions
        WHERE experiment = %s AND kind IN ('recommend', 'batch')),
    done AS (
        SELECT shown.recommendation_id,
            count(DISTINCT e.parent_asin) FILTER (WHERE e.type = ANY(%s)) AS clicks,
            count(DISTINCT e.parent_asin) FILTER (WHERE e.type = ANY(%s)) AS purchases
        FROM shown JOIN serving_events e USING (recommendation_id)
        WHERE e.parent_asin = ANY(shown.items) GROUP BY 1),
    each AS (
        SELECT variant, who, count(*) AS answers, sum(cardinality(items))::float8 AS x,
            coalesce(sum(clicks), 0)::float8 AS c, coalesce(sum(purchases), 0)::float8 AS b
        FROM shown LEFT JOIN done USING (recommendation_id) GROUP BY 1, 2)
    SELECT variant, count(*), sum(answers)::bigint, sum(x), sum(x * x),
        sum(c), sum(c * c), sum(c * x), sum(b), sum(b * b), sum(b * x)
    FROM each GROUP BY 1
"""
"""One row a variant: sums over its users, whatever their number."""

Counted = Mapping[str, tuple[int, Mapping[Metric, RatioSums]]]
"""Variant → how many answers, and the sums of each metric."""
NOTHING = RatioSums(0, 0, 0, 0, 0, 0)


def count(read: Read, name: str) -> Counted:
    """Return the sums of the experiment's variants that were shown.

    Args:
        read: asks the store.
        name: of the experiment.
    """
    found: dict[str, tuple[int, Mapping[Metric, RatioSums]]] = {}
    for variant, users, answers, x, xx, c, cc, cx, b, bb, bx in read(
        BY_VARIANT, [name, list(CLICKS), list(CONVERSIONS)]
    ):
        found[variant] = (
            answers,
            {
                "ctr": RatioSums(users, c, x, cc, xx, cx),
                "conversion": RatioSums(users, b, x, bb, xx, bx),
            },
        )
    return found


def variant_figures(counted: Counted, name: str) -> dict[str, Any]:
    """Return the figures of a variant; rates are null where nothing was shown."""
    answers, sums = counted.get(name, (0, dict.fromkeys(METRICS, NOTHING)))
    ctr = sums["ctr"]
    found: dict[str, Any] = {
        "users": ctr.users,
        "answers": answers,
        "shown": int(ctr.x),
        "clicks": int(ctr.y),
        "purchases": int(sums["conversion"].y),
    }
    for metric in METRICS:
        low, high = sums[metric].interval()
        named = {metric: sums[metric].rate, f"{metric}_low": low, f"{metric}_high": high}
        found |= {title: finite(value) for title, value in named.items()}
    return found


def comparisons(counted: Counted, experiment: Experiment) -> list[dict[str, Any]]:
    """Return how each variant but the control compares with it, by both metrics."""
    control, found = experiment.baseline, list[dict[str, Any]]()
    others = [name for name in experiment.variants if name != control]
    for name in others:
        for metric in METRICS:
            ours, theirs = (_sums(counted, one, metric) for one in (name, control))
            result = compare_rates(
                ours,
                theirs,
                expected_lift=experiment.expected_lift,
                alpha=experiment.alpha,
                comparisons=len(others),
                least_users=experiment.minimum_users,
            )
            low, high = result.interval
            found.append(
                {
                    "variant": name,
                    "control": control,
                    "metric": metric,
                    "difference": finite(result.difference),
                    "lift": finite(result.lift),
                    "low": finite(low),
                    "high": finite(high),
                    "p": result.p,
                    "significant": result.p < experiment.alpha,
                }
            )
    return found


def better(found: Sequence[Mapping[str, Any]], experiment: Experiment) -> tuple[str | None, str]:
    """Return the variant that the test has found better than the control, and what it says.

    Of several the one that is furthest ahead, which need not be better than the next. The
    control, where every other variant is found worse; None while the test has found nothing.
    """
    own = [each for each in found if each["metric"] == experiment.metric]
    if not own:
        return None, "there is one variant: nothing is compared"
    least = min(own, key=lambda each: each["p"])
    risen = [each for each in own if each["significant"] and each["difference"] > 0]
    if risen:
        best = max(risen, key=lambda each: each["difference"])
        return best["variant"], _said(best, "better")
    if all(each["significant"] for each in own):
        return experiment.baseline, f"{experiment.baseline} is best: {_said(least, 'worse')}"
    return None, f"no difference is found yet: p = {least['p']:.3f} at least"


def finite(value: float) -> float | None:
    """Return a number; None where it is none, as JSON knows no others."""
    return value if math.isfinite(value) else None


def _sums(counted: Counted, name: str, metric: Metric) -> RatioSums:
    return counted[name][1][metric] if name in counted else NOTHING


def _said(each: Mapping[str, Any], how: str) -> str:
    lift = "" if each["lift"] is None else f" {each['lift']:+.1%}"
    return (
        f"{each['variant']} is {how} than {each['control']}: {each['metric']}{lift}, "
        f"p = {each['p']:.2g}"
    )
