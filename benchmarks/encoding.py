"""Encoding item texts: plain `SentenceTransformer.encode` against this project, in one run.

    python benchmarks/encoding.py [--data-dir data] [--texts 1500] [--rounds 5]

The texts are those of a run's items, drawn by a fixed seed; both ways have the same model, token
limit and threads, and take turns. Says texts a second (medians), the ratio to plain `encode`, how
close the vectors are to plain float32 ones, and Recall@100 of the valid queries of the run over all
of its items where ``--recall`` asks for it.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from beauty_rec.events.asked import split_queries
from beauty_rec.events.places import rows_of
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.encoding.quantized_linear import multiplies_int8
from beauty_rec.search.ranks import exact_ranks
from beauty_rec.settings import PACKAGED_ENCODER, EncoderSettings, EvaluationSettings

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--model", default=PACKAGED_ENCODER)
    parser.add_argument("--texts", type=int, default=1_500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recall", action="store_true")
    parser.add_argument(
        "--cpu", action="store_true", help="seconds of the processor: on a machine that is not idle"
    )
    given = parser.parse_args()
    items = pl.read_parquet(given.data_dir / "processed" / "merged_items.parquet")
    texts = items["text"].to_list()
    random.Random(13).shuffle(texts)
    texts = texts[: given.texts]
    encoder = TextEncoder.load(given.model, EncoderSettings())
    ways = ways_of(encoder)
    counts = encoder.count_tokens(texts)
    print(f"{len(texts)} texts of {statistics.mean(counts):.0f} tokens, {torch.__version__}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    clock = time.process_time if given.cpu else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, NDArray[np.float32]] = {}
    for encode in ways.values():
        encode(texts[:128])
    for _ in range(given.rounds):
        for name, encode in ways.items():
            began = clock()
            vectors[name] = encode(texts)
            seconds[name].append(clock() - began)
    plain = statistics.median(seconds["plain encode"])
    for name, found in seconds.items():
        cosines = (vectors[name] * vectors["plain encode"]).sum(1)
        median = statistics.median(found)
        print(f"{name:13} {len(texts) / median:7.1f} texts/s  {plain / median:5.2f} x  "
              f"cosine {cosines.mean():.5f}, least {cosines.min():.5f}")  # fmt: skip
    if given.recall:
        recall(given.data_dir, encoder, ways)


def ways_of(encoder: TextEncoder) -> dict[str, Encode]:
    """Return the ways to encode: plain, this project's precision, and int8."""
    model = encoder.model
    model.max_seq_length = encoder.max_item_tokens

    def plain(texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return found

    name = encoder.precision_of_items(quantized=False)
    ways: dict[str, Encode] = {"plain encode": plain, name: encoder.encode_items}
    if multiplies_int8():  # where a run would not take it, too
        encoder.may_quantize = True
        ways["int8"] = lambda texts: encoder.encode_items(texts, quantized=True)
    return ways


def recall(data_dir: Path, encoder: TextEncoder, ways: dict[str, Encode]) -> None:
    """Print Recall@100 of the valid queries, themselves in float32, for each way."""
    processed = data_dir / "processed"
    reviews = pl.read_parquet(processed / "split_reviews.parquet").filter(split="valid")
    queries = split_queries(reviews, "valid", EvaluationSettings())
    items = pl.read_parquet(processed / "merged_items.parquet")
    answers = rows_of(queries["parent_asin"], items["parent_asin"].to_list())
    asked = encoder.encode_contexts(queries["query"].to_list())
    for name, encode in ways.items():
        ranks = exact_ranks(asked, encode(items["text"].to_list()), answers)
        print(f"{name:13} Recall@100 {(ranks <= 100).mean():.4f}, Recall@10 "
              f"{(ranks <= 10).mean():.4f} of {len(ranks)} queries")  # fmt: skip


if __name__ == "__main__":
    main()
