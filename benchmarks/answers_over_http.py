"""The answer over HTTP, measured: the test events of a run, asked as a shopper would ask.

    python benchmarks/answers_over_http.py [--data-dir data] [--url http://127.0.0.1:8000]

Every event asks for 100 items at its moment, with its text and without one: by its user's id, whose
past and profile the server knows, or (`--given`) with the past and the profile in the request. The
ranks of what the user then took are held against `report.json`, which was measured without a
server. With `--most` fewer events are asked; then the figures beside them are of the same events.
Without `--url` a server is started on the data folder.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.events.asked import known_events
from beauty_rec.measures.metrics import per_query
from beauty_rec.recommender.offline.scenarios import Scenario, asked_events, scenarios_of
from beauty_rec.recommender.online.requests import MAX_HISTORY, MAX_TEXT
from beauty_rec.settings import Settings
from beauty_rec_tests.serving.live import live_server

SPLIT = "test"
K = 100
METRICS = ("recall@10", "recall@100", "mrr", "ndcg@10")
AT_ONCE = 8
SCENARIOS: tuple[Scenario, ...] = ("with_text", "without_text")
Body = dict[str, Any]


def body_of(event: Mapping[str, Any], profile: Mapping[str, Any], given: bool) -> Body:
    """Return the request of an event; ``given``: with its past and profile, not by its user."""
    body: Body = {"k": K, "at": event["timestamp"], "diversity": 0}
    if event["context"] is not None:
        body["context"] = event["context"][:MAX_TEXT]
    if not given:
        return {**body, "user_id": event["user_id"]}
    past = zip(event["history"], event["history_ratings"], event["history_timestamps"], strict=True)
    return {
        **body,
        "history": [
            {"parent_asin": item, "rating": rating, "timestamp": at} for item, rating, at in past
        ],
        "exclude": event["seen"][:MAX_HISTORY],
        "profile": {
            name: value
            for name, value in profile.items()
            if name != "user_id" and value is not None and value == value
        },
    }


def ask(client: httpx.Client, body: Body) -> list[str]:
    """Return the ids of an answer, best first; a server that asks for patience gets it."""
    while True:
        answer = client.post("/v1/recommend", json=body)
        if answer.status_code != 429:
            found: list[Body] = answer.raise_for_status().json()["items"]
            return [item["parent_asin"] for item in found]
        time.sleep(float(answer.headers.get("retry-after", 1)))


def ranks_over_http(
    client: httpx.Client, bodies: Sequence[Body], answers: Sequence[str]
) -> np.ndarray:
    """Return the rank of each event's item in the answer, float64; infinity where it is not."""
    with ThreadPoolExecutor(AT_ONCE) as people:
        lists = people.map(lambda body: ask(client, body), bodies)
        return np.array(
            [
                ids.index(item) + 1.0 if item in ids else np.inf
                for ids, item in zip(lists, answers, strict=True)
            ]
        )


def figures(ranks: np.ndarray) -> dict[str, float]:
    """Return the mean of each metric."""
    values = per_query(ranks)
    return {name: float(values[name].mean()) for name in METRICS}


@contextmanager
def client_of(options: argparse.Namespace) -> Iterator[httpx.Client]:
    """Yield a client of the server that was named, or of one that is started here."""
    headers = {"X-API-Key": options.key} if options.key else {}
    if options.url:
        with httpx.Client(base_url=options.url, timeout=60, headers=headers) as client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        live_server(options.data_dir.resolve(), Path(folder) / "log") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


def measure(client: httpx.Client, settings: Settings, most: int | None, given: bool) -> float:
    """Print a table a scenario; return the largest difference from what was measured."""
    data = settings.data_dir
    report = json.loads((data / "evaluation" / "report.json").read_text(encoding="utf-8"))
    processed = data / "processed"
    split_reviews = pl.read_parquet(processed / "split_reviews.parquet", glob=False)
    profiles = pl.read_parquet(processed / "user_profiles.parquet", glob=False)
    measured = pl.read_parquet(processed / "recommendations" / f"{SPLIT}.parquet", glob=False)
    reviews, events = known_events(split_reviews, SPLIT, settings, data / "models" / "user_tower")
    profile_of = {row["user_id"]: row for row in profiles.iter_rows(named=True)}
    until = client.get("/version").raise_for_status().json()["statistics_until"]
    if datetime.fromisoformat(until).timestamp() * 1000 > events["timestamp"].min():
        raise SystemExit(
            f"the served set counts sales until {until}, among them what is asked for here: "
            "publish it with serve.statistics=train"
        )
    largest = 0.0
    for scenario in SCENARIOS:
        if scenario not in scenarios_of(reviews, settings.reads_texts):
            continue
        asked = asked_events(events, reviews, scenario, settings.evaluation.min_query_chars)
        bounded = most is not None and most < asked.height
        asked = asked.head(most) if bounded else asked
        bodies = [
            body_of(event, profile_of.get(event["user_id"], {}), given)
            for event in asked.iter_rows(named=True)
        ]
        found = figures(ranks_over_http(client, bodies, asked["parent_asin"].to_list()))
        if bounded:
            of_run = asked.select("review_id").join(
                measured.filter(scenario=scenario),
                on="review_id",
                how="left",
                maintain_order="left",
            )
            wanted = figures(of_run["rank_served"].cast(pl.Float64).fill_null(np.inf).to_numpy())
        else:
            wanted = report["answer"][SPLIT][scenario]["served"]
        print(f"\n| {scenario}, {asked.height} asks | over HTTP | measured | difference |")
        print("|---|--:|--:|--:|")
        for name in METRICS:
            difference = found[name] - wanted[name]
            largest = max(largest, abs(difference))
            print(f"| {name} | {found[name]:.5f} | {wanted[name]:.5f} | {difference:+.5f} |")
    return largest


def main() -> None:
    """Ask, and print both figures side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="of a finished run")
    parser.add_argument("--url", help="of a running server; default: one is started")
    parser.add_argument("--key", help="the server's API key, where it wants one")
    parser.add_argument("--most", type=int, help="events of a scenario; default: all")
    parser.add_argument("--given", action="store_true", help="send the past, not the user's id")
    options = parser.parse_args()
    settings = Settings(data_dir=options.data_dir)
    with client_of(options) as client:
        largest = measure(client, settings, options.most, options.given)
    print(f"\nlargest difference: {largest:.5f}")


if __name__ == "__main__":
    main()
