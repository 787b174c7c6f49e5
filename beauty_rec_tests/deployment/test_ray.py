"""Steps on a real, local Ray: another process, another data folder, only the store in common."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from beauty_rec.keywords.rules import rules_reader
from beauty_rec.orchestration.stage.ray_data import Work, spread
from beauty_rec.retriever.encoding.workers import Model, item_encoder
from beauty_rec.sample import write_sample
from beauty_rec.settings import (
    PACKAGED_ENCODER,
    EncoderSettings,
    ExecutionSettings,
    SampleSettings,
    Settings,
)

pytest.importorskip("ray")
pytestmark = pytest.mark.ray


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


HEAD_PORT = free_port()


@pytest.fixture(scope="module")
def ray_jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the jobs API of a Ray of this machine."""
    programs = Path(sys.executable).parent  # a worker finds `dagster` on its path
    ray, path = str(programs / "ray"), f"{programs}{os.pathsep}{os.environ['PATH']}"
    port, temporary = free_port(), tmp_path_factory.mktemp("ray")
    start = [
        *(ray, "start", "--head", "--block", f"--port={HEAD_PORT}", f"--dashboard-port={port}"),
        *("--include-dashboard=true", "--dashboard-host=127.0.0.1", "--num-cpus=3"),
        *("--node-ip-address=127.0.0.1", f"--temp-dir=/tmp/ray-{os.getpid()}"),
        # Two steps at once pin two encoders of 90 MB each: a smaller store has both wait for room.
        *("--object-store-memory=1000000000", "--disable-usage-stats"),
    ]
    log = (temporary / "ray.log").open("w")
    head = subprocess.Popen(
        start,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={**os.environ, "PATH": path, "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1"},
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 90
    while True:
        try:
            if httpx.get(f"{address}/api/jobs/").is_success:
                break
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, (temporary / "ray.log").read_text()
        time.sleep(0.5)
    yield address
    head.terminate()
    head.wait(timeout=60)


def beauty_rec(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "beauty_rec.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_steps_on_ray_meet_only_in_the_store(ray_jobs: str, tmp_path: Path) -> None:
    files = write_sample(tmp_path / "input", SampleSettings(reviews=300, items=60, seed=2))
    here, there, store = (tmp_path / name for name in ("here", "there", "store"))
    told = [
        *("run", "--data-dir", here, "--reviews", files.reviews, "--items", files.items),
        *("--set", f"storage.url=file://{store}", "--set", "keywords.max_phrases=5"),
    ]
    on_ray = [
        *("--set", "execution.executor=ray", "--set", f"execution.ray_address={ray_jobs}"),
        *("--set", f"execution.worker_data_dir={there}"),
        *("--set", "execution.step_cpus=1", "--set", "execution.step_memory_gb=0.2"),
    ]
    tables = ("--select", "raw_reviews,split_reviews")
    test_split = ("--select", "keywords", "--partition", "test")
    assert "2 built, 0 fresh, 0 failed" in beauty_rec(*told, *on_ray, *tables)
    assert "1 built, 0 fresh, 0 failed" in beauty_rec(*told, *on_ray, *test_split)
    assert not (here / "processed").exists()  # nothing was built in this process
    assert (there / "processed" / "quarantine").exists()
    ran = httpx.get(f"{ray_jobs}/api/jobs/").json()
    assert sum(job["status"] == "SUCCEEDED" for job in ran) >= 3

    # For this process it is as if it had built them itself, and it builds on what workers made.
    alone = [*told, "--set", "execution.executor=in_process"]
    assert "0 built, 2 fresh, 0 failed" in beauty_rec(*alone, *tables)
    assert "0 built, 1 fresh, 0 failed" in beauty_rec(*alone, *test_split)
    more = ("--select", "keywords", "--partition", "train")
    assert "1 built, 0 fresh, 0 failed" in beauty_rec(*alone, *more)
    for split in ("train", "test"):
        assert pl.read_parquet(store / "processed" / "keywords" / f"{split}.parquet").height > 0


@pytest.mark.timeout(600)
def test_what_two_workers_make_is_what_one_process_makes(ray_jobs: str, tmp_path: Path) -> None:
    files = write_sample(tmp_path / "input", SampleSettings(reviews=300, items=60, seed=2))
    made = tmp_path / "store" / "processed"
    given = [
        *("run", "--data-dir", tmp_path / "here", "--set", f"storage.url=file://{made.parent}"),
        *("--reviews", files.reviews, "--items", files.items, "--set", "encoder.chunk=20"),
        *("--set", "fine_tune.epochs=0", "--set", "item_tower.epochs=1"),
    ]
    alone = ("--set", "execution.executor=in_process")
    beauty_rec(*given, *alone, "--select", "*past_items,base_embeddings")
    folders = ("base_embeddings", "item_embeddings", "past_items")
    paths = [made / "keywords" / "train.parquet"]
    paths += [path for name in folders for path in (made / name).rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in paths}
    assert len(before) > 7
    on_ray = [
        *("--set", "execution.executor=ray", "--set", f"execution.ray_address={ray_jobs}"),
        *("--set", f"execution.worker_data_dir={tmp_path / 'there'}", "--force"),
        *("--set", "gpu.per_step=0"),
        *("--set", "execution.step_cpus=1", "--set", "execution.step_memory_gb=0.2"),
    ]
    beauty_rec(*given, *on_ray, "--select", "keywords", "--partition", "train")
    beauty_rec(*given, *on_ray, "--select", ",".join(folders))
    for path, content in before.items():
        assert path.read_bytes() == content, path


def with_process(shift: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What makes of numbers larger ones, slowly, and says in which process."""

    def work(frame: pl.DataFrame) -> pl.DataFrame:
        time.sleep(0.5)
        return frame.with_columns(pl.col("n") + shift, process=pl.lit(os.getpid()))

    return work


def test_frames_are_spread_and_come_back_in_order(ray_jobs: str) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no tests
    frames = [pl.DataFrame({"n": range(start, start + 3)}) for start in range(0, 30, 3)]
    frames.insert(4, frames[0].clear())
    on_ray = Settings(execution=ExecutionSettings(executor="ray"))
    with ray.init(address=f"127.0.0.1:{HEAD_PORT}", log_to_driver=False):
        found = list(spread(on_ray, frames, with_process, 100))
    assert [frame.height for frame in found] == [frame.height for frame in frames]
    everything = pl.concat(found)
    assert everything["n"].to_list() == list(range(100, 130))
    assert everything["process"].n_unique() >= 2
    assert os.getpid() not in everything.filter(pl.col("n") >= 100)["process"][:3]


def test_vectors_and_keywords_of_two_workers_are_those_of_one_process(ray_jobs: str) -> None:
    import ray

    words = "a comb for curly hair, loved by my daughter"
    texts = [f"{n} {words}" * (1 + n % 3) for n in range(24)]
    frames = list(pl.DataFrame({"text": texts}).iter_slices(6))
    names = {"review_id": [f"r{n}" for n in range(24)], "parent_asin": ["B1"] * 24}
    reviews = list(pl.DataFrame({**names, "title": texts, "text": texts}).iter_slices(6))
    makes: list[tuple[list[pl.DataFrame], Callable[..., Work], tuple[object, ...]]] = [
        (frames, item_encoder, (Model.of(PACKAGED_ENCODER), EncoderSettings(), True)),
        (reviews, rules_reader, (5,)),
    ]
    on_ray = Settings(execution=ExecutionSettings(executor="ray"))
    with ray.init(address=f"127.0.0.1:{HEAD_PORT}", log_to_driver=False):
        for given, make, arguments in makes:
            alone = list(spread(Settings(), given, make, *arguments))
            there = list(spread(on_ray, given, make, *arguments))
            assert len(there) == len(alone)
            for one, other in zip(alone, there, strict=True):
                assert one.schema == other.schema
                assert one.equals(other)
