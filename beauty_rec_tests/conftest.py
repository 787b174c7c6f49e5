"""Fixtures for all folders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beauty_rec.retriever.model_files import resolve_model
from beauty_rec.settings import PACKAGED_ENCODER
from beauty_rec_tests.language.stub import Stub
from beauty_rec_tests.quick import quick

__all__ = ["quick"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file, so that no worker waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a two-layer BERT, 32-d, random weights, with dropout."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "bert")
    AutoTokenizer.from_pretrained(resolve_model(PACKAGED_ENCODER)).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
    model.save_pretrained(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Callable[..., Stub]]:
    """Start stub servers of a language model with the options of ``stub_server.py``."""
    started: list[Stub] = []

    def start(*options: object) -> Stub:
        folder = tmp_path / f"stub{len(started)}"
        folder.mkdir()
        started.append(Stub(folder, *options))
        return started[-1]

    yield start
    for server in started:
        server.kill()
