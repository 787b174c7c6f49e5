"""Resources: validated, replaceable, and what they promise about GPUs and stores."""

from pathlib import Path
from typing import get_args

import dagster as dg
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from upath import UPath

from beauty_rec.artifacts import Vectors, content_hash
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.stage.gpu import Device, GpuResource
from beauty_rec.orchestration.stage.retryable import is_passing
from beauty_rec.orchestration.storage.remote import fetch, upload
from beauty_rec.orchestration.storage.resources import resources_of
from beauty_rec.orchestration.storage.store import ArtifactStore
from beauty_rec.settings import Settings
from beauty_rec.settings.operation import Precision


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GpuResource(device="tpu"), "device"),
        (lambda: GpuResource(precision="int8"), "precision"),
        (lambda: GpuResource(memory_share=0), "memory_share"),
        (lambda: GpuResource(visible_devices=[1, 1]), "different numbers"),
        (lambda: ArtifactStore(url="nowhere://x", scratch="."), "fsspec knows no nowhere://"),
    ],
)
def test_a_wrong_value_is_refused_by_name(make, message: str) -> None:
    with pytest.raises(ValidationError) as found:
        make()
    assert message in str(found.value)


def test_checkpoints_of_another_code_version_are_nobodys(tmp_path: Path) -> None:
    store = ArtifactStore(url=str(tmp_path), scratch=str(tmp_path))
    kept = store.checkpoints("item_tower", "a1") / "step-00000001"
    other = store.checkpoints("user_tower", "a1") / "step-00000001"
    for folder in (kept, other):
        folder.mkdir(parents=True)
    assert store.checkpoints("item_tower", "a1") == kept.parent
    assert kept.exists()
    assert store.checkpoints("item_tower", "b2") != kept.parent
    assert not kept.exists()
    assert other.exists()


def test_resources_follow_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        gpu={"device": "cuda:1", "memory_share": 0.5, "visible_devices": [1]},
        storage={"url": "s3://bucket/shop"},
        item_index={"dsn": "postgresql://u:p@h/d"},
    )
    made = resources_of(settings)
    assert made["gpu"].device == "cuda:1"
    assert made["gpu"].visible_devices == [1]
    assert made["store"].url == "s3://bucket/shop"
    # The launchpad shows the fields of resources: no password may be one.
    assert "u:p@h" not in str({name: made[name].model_dump() for name in made})


@pytest.mark.parametrize("precision", get_args(Precision))
def test_every_precision_of_the_settings_makes_resources(tmp_path: Path, precision: str) -> None:
    settings = Settings(data_dir=tmp_path, gpu={"precision": precision})
    assert resources_of(settings)["gpu"].precision == precision


def test_without_a_gpu_a_step_runs_on_the_cpu_and_an_explicit_wish_is_an_error() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with GpuResource().lend() as device:
        assert device == Device("cpu", "auto")
    with (
        pytest.raises(RuntimeError, match=r"set gpu\.device=cpu"),
        GpuResource(device="cuda:3").lend(),
    ):
        pass


def test_the_device_reaches_the_encoder_but_not_its_version(tmp_path: Path) -> None:
    applied = Device("cuda:1", "float32").applied_to(Settings(data_dir=tmp_path))
    assert (applied.encoder.device, applied.encoder.precision) == ("cuda:1", "float32")
    explicit = Settings(data_dir=tmp_path, encoder={"device": "cpu"})
    assert Device("cuda:1", "auto").applied_to(explicit).encoder.device == "cpu"

    def version(settings: Settings) -> str | None:
        graph = build_definitions(settings).resolve_asset_graph()
        return graph.get(dg.AssetKey("item_embeddings")).code_version

    usual = version(Settings(data_dir=tmp_path))
    assert version(Settings(data_dir=tmp_path, encoder={"device": "cpu"})) == usual
    assert version(Settings(data_dir=tmp_path, gpu={"device": "cpu"})) == usual
    assert version(Settings(data_dir=tmp_path, encoder={"batch_tokens": 800})) != usual


@pytest.fixture
def remote(tmp_path: Path) -> UPath:
    """A store that lies on no disk."""
    return UPath(f"memory:///{tmp_path.name}")


def test_a_remote_folder_comes_back_as_it_was(remote: UPath, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    Vectors(["a", "b"], np.eye(2, dtype=np.float32)).save(folder)
    before = content_hash(folder)
    upload(folder, remote / "model")
    cache = tmp_path / "cache"
    found = fetch(remote / "model", cache, 1e9)
    assert content_hash(found) == before
    assert fetch(remote / "model", cache, 1e9) == found  # not fetched twice
    with pytest.raises(FileNotFoundError):
        fetch(remote / "other", cache, 1e9)


def test_a_changed_artifact_is_fetched_anew_and_old_copies_make_room(
    remote: UPath, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    for rows in (10, 20_000):
        path = tmp_path / "frame.parquet"
        pl.DataFrame({"n": range(rows)}).write_parquet(path)
        upload(path, remote / "frame.parquet")
        found = fetch(remote / "frame.parquet", cache, limit_bytes=1_000)
        assert pl.read_parquet(found).height == rows
    assert len(list(cache.iterdir())) == 1


def test_only_lost_connections_and_locks_pass_by_themselves() -> None:
    import httpx
    import psycopg

    assert is_passing(ConnectionResetError())
    assert is_passing(psycopg.OperationalError("server closed the connection"))
    assert is_passing(httpx.ConnectTimeout("slow"))
    wrapped = RuntimeError("while asking")
    wrapped.__cause__ = TimeoutError()
    assert is_passing(wrapped)
    assert not is_passing(ValueError("recall too low"))
    assert not is_passing(FileNotFoundError("no model"))
    assert not is_passing(psycopg.ProgrammingError("syntax"))


def test_no_draft_is_found_by_another_run(tmp_path: Path) -> None:
    store = ArtifactStore(url=str(tmp_path), scratch=str(tmp_path))
    first, second = store.draft("reranker"), store.draft("reranker")
    first.mkdir()
    (first / "trees.txt").touch()  # it fails now
    assert not second.exists()
    assert not store.draft("reranker").exists()
    assert store.draft("rows.parquet").suffix == ".parquet"  # which polars knows a format by
    assert {first.parent, second.parent} == {tmp_path / ".drafts"}  # which is swept
