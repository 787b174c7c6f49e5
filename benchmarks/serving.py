"""`POST /v1/recommend` at the size of All_Beauty: latency, throughput, errors, memory.

    python benchmarks/serving.py [--items 112590 --events 701528] [--seconds 300] [--requests 20000]
    python benchmarks/serving.py --folder data
    python benchmarks/serving.py --batch

Unless the folder has a set, one with untrained models and drawn vectors is published (the real
formats and the real encoder). `beauty-rec serve` answers from it in a process of its own, and a
client on the same machine asks: a past of 10 items, a context of 12 words that was never asked
before, the best 10 of what seven sources find.
First one request at a time, then 16 at once, then as many requests as it takes to see whether
memory grows. Beside it a bare loop in a process of its own: encode the context, multiply the item
texts with it, take the best 100; by the faster one of two ways.

With ``--batch`` known users are asked for instead: one by one over HTTP, a thousand in a call, and
as the asset `user_lists` makes their lists.
"""

import argparse
import asyncio
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.artifacts import Vectors
from beauty_rec.serving.published.manifest import read_manifest
from beauty_rec.settings import PACKAGED_ENCODER
from beauty_rec_tests.recommender.synthetic_set import (
    KINDS,
    NEEDS,
    QUALITIES,
    SCENTS,
    Size,
    load_encoder,
    publish_synthetic,
)
from beauty_rec_tests.serving.live import live_server

WORDS = " ".join((*KINDS, *QUALITIES, *SCENTS, *NEEDS)).split()
AT_ONCE = 16


class Questions:
    """Bodies of requests, each another one."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._items = Vectors.load(set_of(folder) / "item_embeddings").ids

    def context(self) -> str:
        return " ".join(self._draw.choice(WORDS, 11)) + f" {self._draw.integers(10**9)}"

    def told(self) -> dict[str, Any]:
        past = self._draw.integers(len(self._items), size=10)
        return {
            "history": [self._items[row] for row in past],
            "context": self.context(),
            "k": 10,
        }

    def __call__(self) -> bytes:
        body = json.dumps(self.told()).encode()
        head = (
            "POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def set_of(folder: Path) -> Path:
    """The folder of the set that a data folder serves."""
    root = folder / "serving"
    return root / "versions" / read_manifest(root).set


async def ask(port: int, people: int, until: float, most: int, questions: Questions) -> Any:
    """Return (latencies in ms, statuses that were not 200) of ``people`` who ask in turn."""
    latencies: list[float] = []
    bad: list[str] = []

    async def person() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until and len(latencies) < most:
            body = questions()
            started = time.perf_counter()
            writer.write(body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
            latencies.append((time.perf_counter() - started) * 1000)
            if not head.startswith(b"HTTP/1.1 200") or answer.count(b'"average_rating"') != 10:
                bad.append(head.split(b"\r\n")[0].decode())
        writer.close()

    await asyncio.gather(*(person() for _ in range(people)))
    return latencies, bad


def run(
    name: str, port: int, people: int, seconds: float, most: int, questions: Questions
) -> dict[str, float]:
    """Ask, and print what it took."""
    started = time.perf_counter()
    latencies, bad = asyncio.run(ask(port, people, started + seconds, most, questions))
    took = time.perf_counter() - started
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99])
    told = {
        "p50_ms": round(p50, 1),
        "p95_ms": round(p95, 1),
        "p99_ms": round(p99, 1),
        "per_s": round(len(latencies) / took, 1),
        "requests": len(latencies),
        "errors": len(bad),
    }
    print(f"{name:<22} " + "  ".join(f"{n} {v}" for n, v in told.items()), flush=True)
    return told


def bare_loop(data: Path, seconds: float, results: Any) -> None:
    """Encode and search, with nothing around it; requests per second into ``results``."""
    import torch

    folder = set_of(data)
    encoder = load_encoder(folder / "text_retriever")
    texts = torch.from_numpy(np.load(folder / "item_embeddings" / "vectors.npy"))
    questions = Questions(data, 99)
    # Which of these takes the slower kernel depends on the processor.
    products: list[Callable[[Any], Any]] = [
        lambda vector: (vector @ texts.T)[0],
        lambda vector: (texts @ torch.cat([vector, vector]).T)[:, 0],
    ]
    medians = []
    for product in products:
        took = []
        end = time.perf_counter() + seconds / len(products)
        while time.perf_counter() < end:
            started = time.perf_counter()
            vector = torch.from_numpy(encoder.encode_contexts([questions.context()]))
            product(vector).topk(100)
            took.append((time.perf_counter() - started) * 1000)
        medians.append((float(np.median(took)), len(took) / sum(took) * 1000))
    results.put(min(medians))


class OfUsers(Questions):
    """The same of known users, who look for nothing in particular."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self._users = users_of(folder)

    def told(self) -> dict[str, Any]:
        return {"user_id": self._users[self._draw.integers(len(self._users))], "k": 10}


def users_of(folder: Path) -> list[str]:
    """The users that a set has events of, by id."""
    events = pl.scan_parquet(set_of(folder) / "events.parquet", glob=False)
    return events.select(pl.col("user_id").unique().sort()).collect()["user_id"].to_list()


def users_per_second(answer: Callable[[list[str]], int], known: list[str]) -> float:
    """Answer four times 1,000 users; return the median rate after the first time."""
    if len(known) < 4_000:
        raise SystemExit(f"--batch asks 4,000 known users; the set has {len(known):,}")
    took = []
    for block in range(4):
        users = known[block * 1_000 : (block + 1) * 1_000]
        started = time.perf_counter()
        assert answer(users) == len(users)
        took.append(time.perf_counter() - started)
    return 1_000 / float(np.median(took[1:]))


def measure_batches(folder: Path, told: argparse.Namespace) -> None:
    """Users per second: one by one, by the batch, and by lists."""
    import httpx

    from beauty_rec.serving.lists import best_of_users
    from beauty_rec.serving.state.engine import Engine
    from beauty_rec.settings import Settings

    rates: dict[str, float] = {}
    with live_server(folder, folder / "serve.log", "request_timeout_s=120") as server:
        port = int(server.url.rsplit(":", 1)[1])
        questions = OfUsers(folder, 7)
        run("warm up", port, AT_ONCE, 3, 10**9, questions)
        for name, people in (("one at a time", 1), (f"{AT_ONCE} at once", AT_ONCE)):
            rates[name] = run(name, port, people, told.seconds, 10**9, questions)["per_s"]
        with httpx.Client(base_url=server.url, timeout=130) as client:

            def over_http(users: list[str]) -> int:
                told = {"user_ids": users, "k": 10}
                return len(client.post("/v1/recommend/batch", json=told).json()["answers"])

            rates["batch over HTTP"] = users_per_second(over_http, users_of(folder))
    with Engine.open(Settings(data_dir=folder)) as engine:
        now = int(time.time() * 1000)
        rates["lists"] = users_per_second(
            lambda users: len(list(best_of_users(engine, users, 10, now))), users_of(folder)
        )
    for name, rate in rates.items():
        print(f"{name:<22} per_s {rate:.1f}  to one at a time {rate / rates['one at a time']:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=112_590)
    parser.add_argument("--events", type=int, default=701_528)
    parser.add_argument("--users", type=int, default=631_986)
    parser.add_argument("--seconds", type=float, default=20, help="of each of the two loads")
    parser.add_argument("--requests", type=int, default=0, help="of the memory run; 0: none")
    parser.add_argument("--batch", action="store_true", help="known users, one by one and many")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--folder", type=Path, help="kept and used again; default: a new one")
    told = parser.parse_args()
    size = Size(told.items, told.events, told.users, told.seed)
    folder = told.folder or Path(tempfile.mkdtemp(prefix="beauty-rec-bench-"))
    try:
        if not (folder / "serving" / "manifest.json").exists():
            started = time.perf_counter()
            publish_synthetic(folder, size, load_encoder(PACKAGED_ENCODER), encode=False)
            print(f"published {told.items:,} items in {time.perf_counter() - started:.0f} s")
        (measure_batches if told.batch else measure)(folder, told)
    finally:
        if told.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, told: argparse.Namespace) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    loop = spawn.Process(target=bare_loop, args=(folder, min(10, told.seconds), results))
    loop.start()
    bare_ms, bare_rate = results.get()
    loop.join()
    print(f"{'bare loop':<22} p50_ms {bare_ms:.1f}  per_s {bare_rate:.1f}", flush=True)
    with live_server(folder, folder / "serve.log") as server:
        port = int(server.url.rsplit(":", 1)[1])
        process = psutil.Process(server.process.pid)
        questions = Questions(folder, 7)
        run("warm up", port, AT_ONCE, 3, 10**9, questions)
        one = run("one at a time", port, 1, told.seconds, 10**9, questions)
        many = run(f"{AT_ONCE} at once", port, AT_ONCE, told.seconds, 10**9, questions)
        print(
            f"ratio to the bare loop: latency {one['p50_ms'] / bare_ms:.2f}, "
            f"requests per second {many['per_s'] / bare_rate:.2f}"
        )
        if told.requests:
            before = process.memory_info().rss
            run("memory run", port, AT_ONCE, 10**9, told.requests, questions)
            after = process.memory_info().rss
            print(
                f"resident memory {before / 2**20:.0f} MiB -> {after / 2**20:.0f} MiB: "
                f"{(after / before - 1) * 100:+.2f}% over {told.requests:,} requests"
            )


if __name__ == "__main__":
    main()
