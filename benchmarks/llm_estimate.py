"""What it takes to read a whole shop with a language model: tokens and hours, with the arithmetic.

    python benchmarks/llm_estimate.py [REVIEWS.jsonl.gz]

Token counts are of the packaged encoder's WordPiece vocabulary, close to those of a language
model's. Speed is reckoned, not measured: a GPU with memory bandwidth B and C FLOP/s takes, for a
model of P parameters in bfloat16 and batches of S sequences, 2 P FLOP for a new prompt token, and
for a step of S answer tokens the time to read all weights and the batch's keys and values.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from beauty_rec.corpus.intake.ingest import ingest_reviews
from beauty_rec.items.domain import load_domain
from beauty_rec.items.llm import LanguageModelAttributeExtractor
from beauty_rec.items.rules import RulesAttributeExtractor
from beauty_rec.keywords.llm import LanguageModelExtractor
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.language.reader import Reader
from beauty_rec.language.task import Task
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.sample import write_sample
from beauty_rec.settings import (
    AttributeSettings,
    CorpusSettings,
    EncoderSettings,
    LanguageSettings,
    SampleSettings,
)

REVIEWS, ITEMS = 701_528, 112_590  # of All_Beauty
ITEM_TOKENS = 74_100_000 // ITEMS  # the data set's page counts 74.1 M tokens of metadata
DESCRIBED = 0.18  # share of items with a description
PARAMETERS, LAYERS, KV_WIDTH = 7.6e9, 28, 4 * 128  # Qwen2.5-7B
SEQUENCES = 256
STEP_OVERHEAD_S = 0.005  # scheduling, sampling, the grammar
COMPUTE_SHARE, BANDWIDTH_SHARE = 0.4, 0.7
SAFETY = 2.0


@dataclass(frozen=True)
class Gpu:
    name: str
    flops: float
    bandwidth: float


GPUS = [Gpu("H200", 989e12, 4.8e12), Gpu("A100 80 GB", 312e12, 2.0e12)]


def main(paths: list[str]) -> None:
    encoder = TextEncoder.load("all-MiniLM-L6-v2", EncoderSettings())

    def tokens(texts: list[str]) -> float:
        return float(sum(encoder.count_tokens(texts))) / max(1, len(texts))

    def prefix(task: Task) -> float:
        return tokens(["\n".join(message["content"] for message in task.prefix)])

    def answer(task: Task) -> float:
        said = [m["content"] for m in task.prefix if m["role"] == "assistant"]
        return tokens(said)

    with tempfile.TemporaryDirectory() as folder:
        reviews = Path(paths[0]) if paths else write_sample(Path(folder), SampleSettings()).reviews
        domain = load_domain("beauty")
        with Reader(LanguageSettings(), Path(folder)) as reader:
            keywords = LanguageModelExtractor(reader, RulesExtractor()).task
            rules = RulesAttributeExtractor(domain, AttributeSettings())
            items = LanguageModelAttributeExtractor(reader, rules, domain, 6)
        kept = Path(folder) / "kept.parquet"
        ingest_reviews(reviews, kept, Path(folder) / "refused.parquet", CorpusSettings())
        asked = [
            keywords.question({"title": title or "", "text": text or ""})
            for title, text in pl.read_parquet(kept, columns=["title", "text"]).iter_rows()
        ]
        review = tokens([question.content for question in asked if question is not None])
    parts = [
        ("reviews", REVIEWS, prefix(keywords), review, answer(keywords)),
        ("items", ITEMS, prefix(items.attributes_task), ITEM_TOKENS, answer(items.attributes_task)),
        ("summaries", int(ITEMS * DESCRIBED), prefix(items.summary_task), ITEM_TOKENS / 2,
         answer(items.summary_task)),
    ]  # fmt: skip
    print(
        f"{'':<10}{'requests':>10}{'shared':>9}{'new':>7}{'answer':>8}"
        f"{'new, M':>9}{'answers, M':>12}"
    )
    new = said = 0.0
    for name, count, shared, own, told in parts:
        print(
            f"{name:<10}{count:>10,}{shared:>9.0f}{own:>7.0f}{told:>8.0f}"
            f"{count * own / 1e6:>9.1f}{count * told / 1e6:>12.1f}"
        )
        new += count * own
        said += count * told
    context = sum(c * (s + o + t / 2) for _, c, s, o, t in parts) / sum(c for _, c, *_ in parts)
    for gpu in GPUS:
        prefill_s = new * 2 * PARAMETERS / (gpu.flops * COMPUTE_SHARE)
        read = 2 * PARAMETERS + SEQUENCES * context * LAYERS * KV_WIDTH * 2 * 2
        step_s = read / (gpu.bandwidth * BANDWIDTH_SHARE) + STEP_OVERHEAD_S
        decode_s = said * step_s / SEQUENCES
        print(
            f"{gpu.name}: prompts {prefill_s / 3600:.1f} h + answers {decode_s / 3600:.1f} h "
            f"({SEQUENCES / step_s:,.0f} tokens/s), x {SAFETY:g} for what is not seen here = "
            f"{SAFETY * (prefill_s + decode_s) / 3600:.1f} h"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
