"""Rates of what was shown: whose event counts for what, and what positions hide."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from beauty_rec.cli.report_view import terminal_text
from beauty_rec.evaluation.online.outcomes import outcomes
from beauty_rec.evaluation.online.rates import SCHEMA, online_block, online_rates
from beauty_rec.evaluation.plots.online import days_plot, positions_plot
from beauty_rec.evaluation.report.document import build_report, dataset_block
from beauty_rec.evaluation.report.markdown import markdown_page
from beauty_rec.evaluation.report.online import online_rows
from beauty_rec.serving.state.shown.reading import EVENTS, IMPRESSIONS

DAY_MS = 86_400_000
START_MS = 1_700_006_400_000  # midnight


def answers(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {
        "time_ms": START_MS, "user_id": "U", "kind": "recommend", "version": "one",
        "variant": "default", "order": "fused", "items": ["a", "b"],
        "sources": ["popular", "lexical"], "catalogue_items": 4,
    }  # fmt: skip
    named = [{"recommendation_id": f"r{n}", **plain, **row} for n, row in enumerate(rows)]
    return pl.DataFrame(named, schema=IMPRESSIONS)


def events(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame([(*row, START_MS) for row in rows], schema=EVENTS, orient="row")


def figures(rates: pl.DataFrame, dimension: str, value: str, **more: Any) -> dict[str, Any]:
    own = rates.filter(pl.col("day").is_null(), dimension=dimension, value=value, **more)
    return own.row(0, named=True)


@pytest.fixture(scope="module")
def simulated() -> pl.DataFrame:
    """Outcomes of two versions: ``late`` has the better items, and shows them lower."""
    draw = np.random.default_rng(2)
    names = [f"i{n}" for n in range(60)]
    gamma = dict(zip(names, np.linspace(0.05, 0.5, 60), strict=True))
    theta = 1 / np.arange(1, 11) ** 0.8
    shown, done = [], []
    for number in range(4_000):
        good = number % 2 == 1
        chosen = draw.choice(names[20:] if good else names[:40], 10, replace=False)
        if good:  # what is good for it stands low
            chosen = np.array(sorted(chosen, key=lambda n: gamma[n] + draw.normal(0, 0.15)))
        shown.append(
            {
                "version": "late" if good else "early",
                "user_id": f"u{number % 40}",
                "items": chosen.tolist(),
                "sources": ["popular"] * 10,
                "time_ms": START_MS + number % 5 * DAY_MS,
                "catalogue_items": 60,
            }
        )
        clicked = draw.random(10) < theta * np.array([gamma[name] for name in chosen])
        done += [(f"r{number}", name, "click") for name in chosen[clicked]]
    return outcomes(answers(*shown), events(*done))


def test_an_event_counts_where_its_answer_showed_the_item() -> None:
    shown = answers({}, {"user_id": "V"}, {"user_id": None, "items": [], "sources": []})
    found = outcomes(
        shown,
        events(
            ("r0", "b", "view"), ("r0", "b", "purchase"), ("r0", "b", "purchase"),
            ("r1", "a", "click"), ("r1", "z", "click"), ("r2", "a", "click"), ("r9", "a", "click"),
        ),
    )  # fmt: skip
    assert found.height == 4  # an empty answer shows nothing
    rates = online_rates(found, samples=100)
    whole = figures(rates, "all", "all")
    assert (whole["answers"], whole["shown"], whole["clicks"], whole["purchases"]) == (2, 4, 2, 1)
    assert (whole["ctr"], whole["conversion"], whole["items"]) == (0.5, 0.25, 2)
    assert whole["coverage"] == 0.5
    assert figures(rates, "source", "lexical")["purchases"] == 1
    assert figures(rates, "position", "1")["ctr"] == 0.5
    assert figures(rates, "position", "2")["conversion"] == 0.5


def test_a_view_alone_is_no_click() -> None:
    rates = online_rates(outcomes(answers({}), events(("r0", "a", "view"))), samples=100)
    assert figures(rates, "all", "all")["ctr"] == 0


def test_places_beyond_the_tenth_are_one() -> None:
    names = [f"i{n}" for n in range(30)]
    shown = answers({"items": names, "sources": ["popular"] * 30})
    rates = online_rates(outcomes(shown, events()), samples=100)
    values = rates.filter(pl.col("day").is_null(), dimension="position")["value"].to_list()
    assert values == [*map(str, range(1, 11)), "11+"]
    assert figures(rates, "position", "11+")["shown"] == 20


def test_the_better_version_is_found_though_it_shows_its_best_low(simulated: pl.DataFrame) -> None:
    rates = online_rates(simulated, samples=200)
    early, late = figures(rates, "version", "early"), figures(rates, "version", "late")
    assert late["debiased_low"] > early["debiased_high"]
    # As if all stood first, a click tells how attractive the items are: .2 and .35 on average.
    assert early["debiased_ctr"] == pytest.approx(0.199, abs=0.03)
    assert late["debiased_ctr"] == pytest.approx(0.351, abs=0.04)
    assert late["effective"] < late["shown"]
    theta = [figures(rates, "position", str(k))["propensity"] for k in (1, 2, 5, 10)]
    np.testing.assert_allclose(theta, [1, 2**-0.8, 5**-0.8, 10**-0.8], atol=0.08)


def test_days_are_apart_and_versions_within_them(simulated: pl.DataFrame) -> None:
    rates = online_rates(simulated, samples=100)
    days = rates.filter(pl.col("day").is_not_null())
    assert days["day"].unique().sort().to_list() == [
        dt.date(2023, 11, 15) + dt.timedelta(days=n) for n in range(5)
    ]
    assert days.filter(dimension="all")["shown"].sum() == simulated.height
    assert days.filter(dimension="version").height == 10
    assert days["debiased_ctr"].null_count() == days.height
    for plot in (days_plot, positions_plot):
        assert plot(rates, title="a title").startswith(b"\x89PNG")


def test_nothing_shown_is_an_empty_table_and_no_block() -> None:
    rates = online_rates(outcomes(answers(), events()))
    assert rates.is_empty()
    assert dict(rates.schema) == SCHEMA
    assert online_block(rates) == {}


def test_the_report_shows_it_beside_the_offline_figures(simulated: pl.DataFrame) -> None:
    reviews = pl.DataFrame({"user_id": ["u"], "split": ["train"]})
    dataset = dataset_block(reviews, items=60, train_end_ms=START_MS, valid_end_ms=START_MS)
    block = online_block(online_rates(simulated, samples=100))
    assert block["days"] == ["2023-11-15", "2023-11-19"]
    assert "online" not in build_report(dataset, online={})
    report = build_report(dataset, online=block)
    assert set(report["online"]["recommend"]["version"]) == {"early", "late"}
    page, terminal = markdown_page(report), terminal_text(report, width=80)
    for text in (page, terminal):
        assert "Online, 2023-11-15 to 2023-11-19" in text
        assert "version late" in text
    assert "u1" not in str(report["online"])  # nobody is named


def test_rates_of_one_user_have_no_interval() -> None:
    rates = online_rates(outcomes(answers({}, {}), events(("r0", "a", "click"))), samples=100)
    whole = figures(rates, "all", "all")
    assert whole["ctr"] == 0.25
    assert whole["ctr_low"] is whole["ctr_high"] is whole["conversion_low"] is None
    for plot in (days_plot, positions_plot):
        assert plot(rates, title="a title").startswith(b"\x89PNG")
    row = online_rows(online_block(rates))[0]
    assert row[2:4] == ("25.00%", "0.00%")
