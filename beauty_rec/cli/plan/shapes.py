"""The shapes of the text models that a profile names, known without their weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beauty_rec.retriever.model_files import EncoderUnavailable, resolve_model, unavailable
from beauty_rec.settings import PACKAGED_ENCODER


def _known(name: str) -> Any:
    """Return the configuration of a model that the presets name; None for another."""
    from transformers import BertConfig, DistilBertConfig, XLMRobertaConfig

    if name == "BAAI/bge-m3":
        return XLMRobertaConfig(
            vocab_size=250_002, hidden_size=1_024, num_hidden_layers=24, num_attention_heads=16,
            intermediate_size=4_096, max_position_embeddings=8_194, type_vocab_size=1,
        )  # fmt: skip
    if name == "distilbert/distilbert-base-uncased":
        return DistilBertConfig()
    if name.removeprefix("sentence-transformers/") == PACKAGED_ENCODER:
        return BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1_536
        )
    return None


@dataclass(frozen=True)
class Shape:
    """A text model: its configuration, and what follows from it.

    Attributes:
        name: as the settings say it.
        config: of transformers.
        parameters: all weights, without a pooler that nothing reads.
        embeddings: of the parameters, those of the tables: looked up, not multiplied.
        here: whether its files stand on this machine.
    """

    name: str
    config: Any
    parameters: int
    embeddings: int
    here: bool

    @property
    def layers(self) -> int:
        """Transformer blocks."""
        return int(self.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """Of a token's state."""
        return int(self.config.hidden_size)

    @property
    def blocks(self) -> int:
        """Parameters of the transformer blocks: linear layers, but for a few."""
        return self.parameters - self.embeddings

    @property
    def bytes(self) -> int:
        """Of the weights in float32."""
        return 4 * self.parameters


def shape_of(name: str) -> Shape:
    """Return the shape of a packaged, local, fetched or preset model.

    Raises:
        EncoderUnavailable: nothing is known of it on this machine; names the remedy.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(resolve_model(name), local_files_only=True)
        here = True
    except (OSError, ValueError, EncoderUnavailable) as error:
        config, here = _known(name), False
        if config is None:
            raise unavailable(name, error) from error
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    parameters = sum(p.numel() for p in model.parameters())
    embeddings = sum(p.numel() for p in model.get_input_embeddings().parameters())
    return Shape(name, config, parameters, embeddings, here)


def tokens_of(shape: Shape) -> Any:
    """Return what counts the tokens of texts: the model's tokenizer, or four characters a token."""
    if not shape.here:
        return lambda texts: [max(1, len(text) // 4) for text in texts]
    from transformers import AutoTokenizer

    source = resolve_model(shape.name)
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=Path(source).is_dir())

    def count(texts: Any) -> list[int]:
        rows = list(texts)
        if not rows:
            return []
        ids = tokenizer(rows, add_special_tokens=False, verbose=False)["input_ids"]
        return [len(row) for row in ids]

    return count
