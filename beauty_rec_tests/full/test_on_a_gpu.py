"""The whole graph where torch finds a GPU: by a stand-in, which refuses what a card refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import Tensor

from beauty_rec.orchestration.stage.gpu import Device, GpuResource
from beauty_rec_tests.command_line_shop import Shop
from beauty_rec_tests.full.test_full_profile import _texts
from beauty_rec_tests.full.tiny_models import make_bge_m3, make_distilbert
from beauty_rec_tests.training.stand_in_gpu import OnCard, stand_in_gpu

pytestmark = [pytest.mark.full, pytest.mark.timeout(1_200)]
ON_A_GPU = {
    "base_embeddings", "text_retriever", "item_embeddings", "item_tower", "past_items",
    "user_tower", "reranker",
}  # fmt: skip


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which devices were lent; the card refuses whoever holds none."""
    held, names, lend, made = [], [], GpuResource.lend, OnCard.__new__

    @contextmanager
    def watched(resource: GpuResource, count: int = 1) -> Iterator[Device]:
        with lend(resource, count) as device:
            names.append(device.name)
            held.append(device)
            try:
                yield device
            finally:
                held.pop()

    def refusing(cls: type[OnCard], value: Tensor) -> OnCard:
        assert held, "a step computes on a GPU that it was not lent"
        return made(cls, value)

    monkeypatch.setattr(GpuResource, "lend", watched)
    monkeypatch.setattr(OnCard, "__new__", refusing)
    with stand_in_gpu():
        yield names


def test_every_step_computes_where_it_was_lent_a_gpu_and_nowhere_else(
    tmp_path: Path, lent: list[str]
) -> None:
    shop = Shop(tmp_path, tmp_path / "bge-m3")
    texts = _texts(shop.files.reviews)
    make_bge_m3(tmp_path / "bge-m3", texts)
    distilbert = make_distilbert(tmp_path / "distilbert", texts)
    shop.settings = [
        *(setting for setting in shop.settings if "title_encoder" not in setting),
        f"item_tower.title_encoder={distilbert}",
        "item_tower.train_title_encoder=true",
        "fine_tune.hard_negatives=1",
    ]
    statuses = shop.run()
    assert set(statuses.values()) == {"built"}, statuses
    assert set(lent) == {"cuda:0"}
    for asset in ON_A_GPU:
        assert "gpu_peak_memory_mb" in shop.facts(asset), asset
    with GpuResource().lend():  # nobody lends to a server: it takes the card that is there
        answer = shop.call("recommend", "--context", "a gift for my sister", "--json")
    assert answer.exit_code == 0, answer.output
