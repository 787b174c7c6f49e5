"""Tiny random models in the file layouts of those that the ``full`` profile names.

BGE-M3 (XLM-RoBERTa, first-token pooling, weights as the hub has them), DistilBERT, and a Qwen2
with its chat template. Only widths, depths and vocabularies are smaller than the real ones.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DIMENSION = 32
XLM_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Trap:
    """A pickle that leaves ``file`` behind when somebody loads it."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, (f"touch '{self.file}'",))


def make_bge_m3(folder: Path, texts: Sequence[str], trap: Path | None = None, **shape: Any) -> Path:
    """Write the files of ``BAAI/bge-m3``, its tokenizer learnt from ``texts``.

    Args:
        folder: that is made.
        texts: of which the model is to read such.
        trap: a file that loading a head's ``.pt`` would make; None: there are no heads.
        shape: of the configuration, what is not to be tiny. The table may hold more ids than the
            tokenizer knows.
    """
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    folder.mkdir(parents=True)
    size = _write_xlm_tokenizer(folder, texts)
    torch.manual_seed(0)
    tiny: dict[str, Any] = {
        "vocab_size": size,
        "hidden_size": DIMENSION,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 8194,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "initializer_range": 0.5,  # so that the first token's state depends on the others
        "architectures": ["XLMRobertaModel"],
    }
    config = XLMRobertaConfig(**{**tiny, **shape})
    model = XLMRobertaModel(config)
    config.save_pretrained(folder)
    # The hub's copy has no safetensors: its weights are a state_dict of torch.
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    if trap is not None:
        for head in ("colbert_linear.pt", "sparse_linear.pt"):
            torch.save({"weight": Trap(trap)}, folder / head)
    base = "sentence_transformers.models"
    modules = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    _write(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"{base}.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    _write(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": config.hidden_size,
            **{f"pooling_mode_{mode}": mode == "cls_token" for mode in modes},
        },
    )
    (folder / "2_Normalize").mkdir()
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 8192, "do_lower_case": False})
    versions = {"sentence_transformers": "2.2.2", "transformers": "4.33.0", "pytorch": "2.1.2"}
    _write(folder / "config_sentence_transformers.json", {"__version__": versions})
    return folder


def _write_xlm_tokenizer(folder: Path, texts: Sequence[str]) -> int:
    """Write XLM-RoBERTa's tokenizer, learnt from ``texts``; return its ids."""
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers.utils import sentencepiece_model_pb2_new as spm

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(" {2,}", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=2_000, special_tokens=XLM_SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([MASK])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, XLM_SPECIAL.index(name)) for name in ("<s>", "</s>")],
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))

    pieces = spm.ModelProto()
    pieces.trainer_spec.model_type = 1  # unigram
    learnt = json.loads(tokenizer.to_str())["model"]["vocab"]
    # sentencepiece has <unk> first, and knows neither <pad> nor <mask>.
    kinds = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    kinds += [(piece, score, 1) for piece, score in learnt[len(XLM_SPECIAL) :]]
    for piece, score, kind in kinds:
        pieces.pieces.add(piece=piece, score=score, type=kind)
    (folder / "sentencepiece.bpe.model").write_bytes(pieces.SerializeToString())
    roles = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>"}
    special = {f"{role}_token": name for role, name in {**roles, "pad": "<pad>"}.items()}
    mask = {"content": MASK, "lstrip": True, "normalized": True, "rstrip": False}
    _write(folder / "special_tokens_map.json", {**special, "mask_token": mask})
    _write(
        folder / "tokenizer_config.json",
        {
            **special,
            "mask_token": {"__type": "AddedToken", **mask, "single_word": False},
            "model_max_length": 8192,
            "clean_up_tokenization_spaces": True,
            "sp_model_kwargs": {},
            "tokenizer_class": "XLMRobertaTokenizer",
        },
    )
    return tokenizer.get_vocab_size()


def make_distilbert(folder: Path, texts: Sequence[str], **shape: Any) -> Path:
    """Write the files of ``distilbert-base-uncased``: a masked language model, safetensors.

    ``shape`` is that of :func:`make_bge_m3`.
    """
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import DistilBertConfig, DistilBertForMaskedLM, DistilBertTokenizerFast

    learnt = BertWordPieceTokenizer(lowercase=True)
    learnt.train_from_iterator(texts, vocab_size=2_000, show_progress=False)
    folder.mkdir(parents=True)
    learnt.save_model(str(folder))
    tokenizer = DistilBertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    tiny: dict[str, Any] = {
        "vocab_size": len(tokenizer), "dim": DIMENSION, "n_layers": 2, "n_heads": 2,
        "hidden_dim": 64,
    }  # fmt: skip
    DistilBertForMaskedLM(DistilBertConfig(**{**tiny, **shape})).save_pretrained(folder)
    return folder


def make_qwen2(folder: Path, texts: Sequence[str]) -> Path:
    """Write a Qwen2 with tied weights, a byte-level tokenizer and ChatML."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2_000,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=marks[2], pad_token=marks[0]
    )
    wrapped.chat_template = QWEN_TEMPLATE
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(wrapped),
        hidden_size=DIMENSION,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        initializer_range=0.2,  # so that answers depend on the text
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
