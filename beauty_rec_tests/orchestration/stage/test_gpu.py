"""GPUs are lent by card, whatever number a process sees it by, as many as a step asks for."""

import multiprocessing
import os
import queue
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from beauty_rec.orchestration.stage import gpu
from beauty_rec.orchestration.stage.gpu import GpuResource
from beauty_rec.orchestration.stage.stage import for_settings, stage
from beauty_rec.orchestration.storage.io_managers import io_managers
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings

CARDS = {0: "GPU-a", 1: "GPU-b"}


def _hold(
    folder: Path,
    ready: multiprocessing.Queue,
    cards: Mapping[int, str] = CARDS,
    count: int = 1,
) -> None:
    with gpu._free(cards, folder, count) as numbers:
        ready.put(numbers)
        time.sleep(60)


def test_two_processes_get_two_gpus_and_a_killed_one_gives_its_back(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Queue()
    holder = context.Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    assert ready.get(timeout=30) == [0]
    with gpu._free(CARDS, tmp_path) as numbers:
        assert numbers == [1]
    holder.kill()
    holder.join()
    with gpu._free(CARDS, tmp_path) as numbers:
        assert numbers == [0]


def test_a_card_is_one_whatever_number_a_process_sees_it_by(tmp_path: Path) -> None:
    with (
        gpu._free({0: "GPU-a"}, tmp_path) as alone,  # as with CUDA_VISIBLE_DEVICES=0
        gpu._free(CARDS, tmp_path) as beside,
        gpu._free({0: "GPU-b", 1: "GPU-c", 2: "GPU-d"}, tmp_path, 2) as several,
    ):
        assert (alone, beside, several) == ([0], [1], [1, 2])


def test_two_who_wait_for_the_same_gpus_do_not_wait_for_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Queue()
    turned = {0: "GPU-b", 1: "GPU-a"}
    started = [
        context.Process(target=_hold, args=(tmp_path, ready, cards, count))
        for cards, count in (({0: "GPU-a"}, 1), (CARDS, 2), (turned, 2))
    ]
    try:
        started[0].start()
        assert ready.get(timeout=30) == [0]
        for waiting in started[1:]:
            waiting.start()
        with pytest.raises(queue.Empty):
            ready.get(timeout=0.5)
        started[0].kill()
        assert ready.get(timeout=10) == [0, 1]
    finally:
        for process in started:
            process.kill()
            process.join()
    with gpu._free(CARDS, tmp_path, 2) as numbers:
        assert numbers == [0, 1]


def _hold_as_another(folder: Path, ready: multiprocessing.Queue) -> None:
    os.umask(0o077)
    if os.getuid() == 0:
        os.setuid(12345)
    try:
        _hold(folder, ready)
    except Exception as error:
        ready.put(repr(error))


def test_users_of_a_machine_share_its_gpus() -> None:
    """Under root the other one is another user; it makes the file, readable to itself alone."""
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-gpu-"))
    folder.chmod(0o1777)
    context = multiprocessing.get_context("fork")
    ready = context.Queue()
    holder = context.Process(target=_hold_as_another, args=(folder, ready))
    holder.start()
    try:
        assert ready.get(timeout=30) == [0]
        with gpu._free(CARDS, folder) as numbers:
            assert numbers == [1]
        holder.kill()
        holder.join()
        with gpu._free(CARDS, folder) as numbers:
            assert numbers == [0]
    finally:
        holder.kill()
        shutil.rmtree(folder)


@pytest.fixture
def four_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Four GPUs, of which torch says what it would."""
    import torch

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 4,
        "get_device_properties": lambda number: SimpleNamespace(uuid=f"GPU-{number}"),
    }
    for name in ("max_memory_allocated", "memory_allocated", "empty_cache"):
        answers[name] = lambda *_: 0
    for name in ("set_device", "set_per_process_memory_fraction", "reset_peak_memory_stats"):
        answers[name] = lambda *_: None
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)


@pytest.mark.usefixtures("four_cards")
def test_a_step_is_lent_as_many_gpus_as_it_takes_of_those_it_may_use(tmp_path: Path) -> None:
    allowed = GpuResource(visible_devices=[1, 2, 3])
    with allowed.lend(2) as device, GpuResource().lend(2) as other:
        assert (device.name, list(device.numbers)) == ("cuda:1", [1, 2])
        assert device.applied_to(Settings(data_dir=tmp_path)).gpu.visible_devices == (1, 2)
        assert list(other.numbers) == [0, 3]
    with GpuResource(device="cuda:2").lend(3) as device:
        assert list(device.numbers) == [2], "where fewer may be used, these"
    locks = {path.name for path in tmp_path.glob("*.lock")}
    assert locks == {f"beauty-rec-gpu-GPU-{number}.lock" for number in range(4)}


@pytest.mark.usefixtures("four_cards")
def test_a_stage_takes_the_gpus_that_its_settings_say_and_another_none(tmp_path: Path) -> None:
    @stage(
        group="raw",
        io="documents",
        settings=("fine_tune",),
        gpu=True,
        gpus="fine_tune.processes",
    )
    def tuned(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dict:
        """Says what it was lent."""
        return {"gpus": settings.gpu.visible_devices}

    @stage(group="raw", io="documents", settings=("encoder",))
    def counted(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dict:
        """Says where its encoder is loaded; somebody else may hold the GPU's memory."""
        return {"device": settings.encoder.device}

    settings = Settings(data_dir=tmp_path)
    store = ArtifactStore(url=str(tmp_path), scratch=str(tmp_path))
    definitions = dg.Definitions(
        assets=for_settings([tuned, counted], settings),
        resources={
            **{"settings": settings, "store": store, "gpu": GpuResource(visible_devices=[1, 3])},
            **io_managers(store),
        },
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        for processes, lent in ((1, (1,)), (2, (1, 3))):
            typed = {"ops": {"tuned": {"config": {"fine_tune": {"processes": processes}}}}}
            run = job.execute_in_process(typed, instance)
            assert run.output_for_node("tuned")["gpus"] == lent
            assert run.output_for_node("counted")["device"] == "cpu"
