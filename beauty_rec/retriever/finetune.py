"""The training recipe of the text retriever, top to bottom.

Contrastive fine-tuning with in-batch negatives (MultipleNegativesRankingLoss; Henderson et al.
2017, https://arxiv.org/abs/1705.00652), through a gradient cache where a batch is larger than what
fits (Gao et al. 2021, https://arxiv.org/abs/2101.06983). Everything random depends on (seed, step)
alone, so a resumed run repeats the losses of an uninterrupted one.
"""

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch.nn import ModuleList
from tqdm import tqdm

from beauty_rec.artifacts import atomic_path, write_text_atomic
from beauty_rec.retriever.batches import no_duplicate_batches
from beauty_rec.retriever.chunks import chunk_tokens
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.retriever.losses import batch_loss, ranking_loss
from beauty_rec.retriever.model_card import TrainingLog, model_card, pairs_digest
from beauty_rec.retriever.negatives import mine_hard_negatives
from beauty_rec.settings import EncoderSettings, FineTuneSettings
from beauty_rec.training.checkpoints import (
    Tensors,
    fingerprint_of,
    load_checkpoint,
    save_checkpoint,
    weights_of,
)
from beauty_rec.training.quick_draws import quick_draws
from beauty_rec.training.schedule import warmup_then_decay
from beauty_rec.training.seeds import seeded
from beauty_rec.training.team import Team

SPARE_NEGATIVES = 8
"""Further ones that are mined for a pair: some may be answers in its batch."""
Evaluate = Callable[[TextEncoder], float]
"""Scores an encoder; higher is better (valid Recall@100)."""


def fine_tune(
    pairs: pl.DataFrame,
    encoder_settings: EncoderSettings,
    settings: FineTuneSettings,
    target: Path,
    checkpoints: Path,
    evaluate: Evaluate | None,
    score_name: str = "valid Recall@100",
    judged_by: str = "",
) -> TrainingLog:
    """Fine-tune the encoder on the pairs and write the best weights, log and card to ``target``.

    A run that was killed goes on from its last checkpoint when called again with the same
    arguments. Processes that torchrun started train on the same batches, each on its share, with
    all texts of a batch as negatives: the losses are those of one process, apart from the draws of
    dropout and from rows of a last batch that cannot be shared evenly, which are left out. The
    first one writes. Without pairs (or without a batch) the untuned encoder is
    written, and the log and the card say so.

    Args:
        pairs: ``query, positive, parent_asin, review_id``.
        encoder_settings: encoder to start from; token limits and precision.
        settings: hyper-parameters.
        target: folder of the tuned encoder; replaced atomically at the end.
        checkpoints: folder for the checkpoints of this run; emptied at the end.
        evaluate: called on the untuned encoder, then ``evaluations_per_epoch`` times; the best
            weights are kept and training stops after ``patience`` evaluations without a better
            score. None: the last weights are kept.
        score_name: of what ``evaluate`` returns, for the card.
        judged_by: stands for what ``evaluate`` asks; with another, a run begins anew.
    """
    encoder = TextEncoder.load(encoder_settings.model, encoder_settings)
    team = Team.now()
    if evaluate is not None:
        evaluate = team.by_the_first(evaluate)
    batches = _plan(pairs, settings)
    taken = {row for batch in batches for row in batch}
    log = TrainingLog(len(pairs), len(batches), left_out=len(pairs) - len(taken))
    if batches:
        _train(encoder, pairs, batches, settings, checkpoints, evaluate, judged_by, log)
    else:
        log.note = f"Not tuned: {_why_no_batch(pairs, settings)}."
        if evaluate is not None:
            log.evaluations.append((0, evaluate(encoder)))
    team.wait()
    if team.rank > 0:
        return log
    card_settings = {
        "max_query_tokens": encoder.max_query_tokens,
        "max_item_tokens": encoder.max_item_tokens,
        **settings.model_dump(exclude={"checkpoint_minutes"}),
    }
    card = model_card(encoder.name, pairs, card_settings, log, score_name)
    with atomic_path(target) as draft:
        encoder.save(draft)
        log.save(draft)
        write_text_atomic(draft / "README.md", card)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return log


def _train(
    encoder: TextEncoder,
    pairs: pl.DataFrame,
    batches: list[list[int]],
    settings: FineTuneSettings,
    checkpoints: Path,
    evaluate: Evaluate | None,
    judged_by: str,
    log: TrainingLog,
) -> None:
    """Train in place; ``encoder`` ends with the best weights, ``log`` with what happened."""
    model, team = encoder.model, Team.now()
    queries, positives, items = (
        pairs[name].to_list() for name in ("query", "positive", "parent_asin")
    )
    # Mined with the untuned weights, before a checkpoint is loaded: a resumed run mines the same.
    negatives = _mined(encoder, pairs, settings)
    _freeze(model, settings.frozen_layers)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), fused=True)
    loss_of, chunk = ranking_loss(model, settings), chunk_tokens(encoder, settings)
    fingerprint = _fingerprint(encoder, pairs, settings, judged_by)
    untuned = weights_of(model)
    best: Tensors | None = None
    # The gradients of float16 vanish unless the loss is scaled; other kinds are left as they are.
    scaler = torch.amp.GradScaler(model.device.type, enabled=encoder.reduced is torch.float16)

    resumed = load_checkpoint(checkpoints, model, optimizer, fingerprint)
    team.wait()  # the first one will write the next checkpoint over this one
    if resumed is not None:
        state, best = resumed
        if state.get("scaler"):
            scaler.load_state_dict(state["scaler"])
        log.losses, log.best_step = state["losses"], state["best_step"]
        log.evaluations = [(step, score) for step, score in state["evaluations"]]
    elif evaluate is not None:
        log.evaluations.append((0, evaluate(encoder)))

    evaluation_steps = _evaluation_steps(len(batches), settings)
    start, kept_at = len(log.losses), time.monotonic()
    with (
        tqdm(
            total=len(batches),
            initial=start,
            desc="fine-tune",
            unit="batch",
            disable=None if team.rank == 0 else True,
        ) as bar,
        seeded(settings.seed, model.device),
        encoder.mixed_precision(),
    ):
        model.train()
        for step in range(start + 1, len(batches) + 1):
            if _waited(log) >= settings.patience:
                log.note = f"Stopped early: no better score after {settings.patience} evaluations."
                break
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * warmup_then_decay(
                    step, len(batches), settings.warmup_share, settings.decay
                )
            # Dropout of this step.
            torch.manual_seed((settings.seed * 1_000_003 + step) * team.size + team.rank)
            rows = team.share(_by_length(batches[step - 1], queries, positives))
            columns = [[queries[row] for row in rows], [positives[row] for row in rows]]
            hard = _apart(batches[step - 1], negatives, items, settings.hard_negatives)
            columns += [
                [positives[hard[row][rank]] for row in rows]
                for rank in range(settings.hard_negatives)
            ]
            with quick_draws(model.device):
                loss = batch_loss(encoder, loss_of, columns, chunk)
                scaler.scale(loss).backward()  # a gradient cache repeats its draws in here
            team.average_gradients(trained)
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm)
            scaler.step(optimizer)
            scaler.update()
            for parameter in trained:  # the fused AdamW does not say that it changes them
                torch.autograd.graph.increment_version(parameter)
            optimizer.zero_grad(set_to_none=True)
            log.losses.append(round(team.mean(loss.detach()), 6))
            bar.update()
            bar.set_postfix(loss=f"{log.losses[-1]:.3f}")

            if step in evaluation_steps:
                if evaluate is not None:
                    log.evaluations.append((step, evaluate(encoder)))
                    model.train()
                if _is_best(log):
                    log.best_step, best = step, weights_of(model)
            due = time.monotonic() - kept_at >= 60 * settings.checkpoint_minutes
            if due and step < len(batches) and team.rank == 0:
                state = {
                    "scaler": scaler.state_dict(),
                    "losses": log.losses,
                    "evaluations": log.evaluations,
                    "best_step": log.best_step,
                }
                save_checkpoint(checkpoints, step, model, optimizer, fingerprint, state, best)
                kept_at = time.monotonic()
    model.load_state_dict(best or untuned)
    if log.best_step == 0:
        log.note = "Not tuned: no step scored better than the untuned encoder, which is kept."
    model.eval()


def _plan(pairs: pl.DataFrame, settings: FineTuneSettings) -> list[list[int]]:
    """Return the rows of every batch of every epoch."""
    columns = ("parent_asin", "query", "positive")
    codes = [pairs[name].rank("dense").cast(pl.Int64).to_list() for name in columns]
    # A number of one column is no number of another.
    keys = [tuple(3 * code + i for i, code in enumerate(row)) for row in zip(*codes, strict=True)]
    return [
        batch
        for epoch in range(settings.epochs)
        for batch in no_duplicate_batches(keys, settings.batch_size, settings.seed, epoch)
        if len(batch) >= settings.processes  # each has a row
    ]


def _why_no_batch(pairs: pl.DataFrame, settings: FineTuneSettings) -> str:
    if settings.epochs == 0:
        return "fine_tune.epochs is 0"
    if pairs.is_empty():
        return "there are no training pairs to learn from"
    return "a batch takes two pairs of different items, and one for each of fine_tune.processes"


def _parameter_groups(model: torch.nn.Module, settings: FineTuneSettings) -> list[dict[str, Any]]:
    """Return AdamW's groups: weight decay on matrices, none on biases and norms."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {
            "params": [p for p in trained if p.ndim >= 2],
            "weight_decay": settings.weight_decay,
            "lr": 0.0,
        },
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "lr": 0.0},
    ]


def _freeze(model: Any, layers: int) -> None:
    """Keep the embeddings and the lowest ``layers`` blocks as they are; 0 trains everything."""
    if layers == 0:
        return
    transformer = model[0].auto_model
    count = getattr(transformer.config, "num_hidden_layers", None)
    # BERT calls them encoder.layer, DistilBERT transformer.layer, ModernBERT layers.
    blocks = next(
        (m for m in transformer.modules() if isinstance(m, ModuleList) and len(m) == count), None
    )
    if count is None or blocks is None:
        raise ValueError(
            f"fine_tune.frozen_layers={layers}: {type(transformer).__name__} does not show its "
            "layers; set it to 0, which trains everything"
        )
    if layers >= count:
        raise ValueError(
            f"fine_tune.frozen_layers={layers} leaves nothing to train: the encoder has {count} "
            f"layers; set it to {count - 1} at most"
        )
    embeddings = getattr(transformer, "embeddings", None) or transformer.get_input_embeddings()
    for frozen in (embeddings, *blocks[:layers]):
        frozen.requires_grad_(False)


def _evaluation_steps(steps: int, settings: FineTuneSettings) -> set[int]:
    """Return the steps after which the encoder is scored: spread evenly, the last included."""
    count = min(steps, settings.epochs * settings.evaluations_per_epoch)
    return {round(steps * (i + 1) / count) for i in range(count)}


def _is_best(log: TrainingLog) -> bool:
    """Whether the last evaluation beats all before it; without evaluations the last step does."""
    scores = [score for _, score in log.evaluations]
    return not scores or scores[-1] > max(scores[:-1], default=-math.inf)


def _waited(log: TrainingLog) -> int:
    """Return the evaluations since the best one."""
    steps = [step for step, _ in log.evaluations]
    return len(steps) - 1 - steps.index(log.best_step) if log.best_step in steps else 0


def _by_length(rows: list[int], queries: list[str], positives: list[str]) -> list[int]:
    """Order a batch by length: the chunks of the gradient cache then hold little padding."""
    return sorted(rows, key=lambda row: (len(queries[row]) + len(positives[row]), row))


def _mined(
    encoder: TextEncoder, pairs: pl.DataFrame, settings: FineTuneSettings
) -> list[list[int]]:
    if settings.hard_negatives == 0:
        return []
    items = pairs["parent_asin"].to_list()
    if len(set(items)) <= settings.hard_negatives:
        raise ValueError(
            f"fine_tune.hard_negatives={settings.hard_negatives} asks for more other items than "
            f"the pairs have: they are of {len(set(items))} items; set it to {len(set(items)) - 1} "
            "at most"
        )
    return mine_hard_negatives(
        encoder,
        pairs["query"].to_list(),
        pairs["positive"].to_list(),
        items,
        settings.hard_negatives + SPARE_NEGATIVES,
        settings.hard_negative_margin,
    )


def _apart(
    batch: list[int], negatives: list[list[int]], items: list[str], count: int
) -> dict[int, list[int]]:
    """Return the ``count`` hardest negatives of each row that are no answer in its batch.

    All texts of a batch are held against each query: one row's negative must not be another's
    answer. Where a row has too few others, the hardest stay.
    """
    answers = {items[row] for row in batch}
    found = {}
    for row in batch if count else ():
        free = [other for other in negatives[row] if items[other] not in answers]
        found[row] = [*free, *(n for n in negatives[row] if n not in free)][:count]
    return found


def _fingerprint(
    encoder: TextEncoder, pairs: pl.DataFrame, settings: FineTuneSettings, judged_by: str
) -> str:
    """Return what a checkpoint must match to be resumed: encoder, data, settings and judge."""
    return fingerprint_of(
        {
            "encoder": [encoder.name, encoder.max_query_tokens, encoder.max_item_tokens],
            "pairs": pairs_digest(pairs),
            "judged_by": judged_by,
            "settings": settings.model_dump(mode="json", exclude={"checkpoint_minutes"}),
        }
    )
