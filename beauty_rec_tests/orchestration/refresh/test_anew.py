"""What a night makes anew of candidates, lists and metrics: all that hangs together, or nothing."""

import dagster as dg
import pytest

from beauty_rec.orchestration.dagster_internals import AssetKeyPartitionKey
from beauty_rec.orchestration.refresh.anew import made_anew
from beauty_rec.orchestration.refresh.kept import Kept, Stale
from beauty_rec.settings import SPLITS

MOVED = Stale("split_reviews changed", by_data=True, changed=frozenset({"split_reviews"}))
CODE = Stale("its code or settings changed", by_data=False)
NIGHT = Kept.of("never", "never")
STAGES = ("user_candidates", "recommendations", "ranking_metrics")


def place(name: str, split: str | None = None) -> AssetKeyPartitionKey:
    return AssetKeyPartitionKey(dg.AssetKey(name), split)


INPUTS = {
    place("user_tower"): [],
    place("reranker"): [place("user_tower"), *(place(STAGES[0], s) for s in ("train", "valid"))],
    **{place(STAGES[0], split): [place("user_tower")] for split in SPLITS},
    **{place(STAGES[1], s): [place("reranker"), place(STAGES[0], s)] for s in SPLITS},
    **{place(STAGES[2], split): [place(STAGES[1], split)] for split in SPLITS},
}


def anew(kept: Kept, **due: Stale) -> set[str]:
    """Return what is made anew, by name and split, where all events moved and some is ``due``."""
    found = made_anew(
        kept, INPUTS, lambda at: due.get("_".join(filter(None, (*at.asset_key.path, at[1]))), MOVED)
    )
    return {"_".join(filter(None, (*at.asset_key.path, at[1]))) for at in found}


def of(*splits: str) -> set[str]:
    return {f"{name}_{split}" for name in STAGES for split in splits}


def test_a_night_leaves_what_only_its_events_moved_past() -> None:
    assert anew(NIGHT) == set()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "why", [CODE, Stale("", by_data=True, changed=frozenset({"split_reviews", STAGES[0]}))]
)
def test_a_split_of_which_one_stage_is_due_is_measured_whole(stage: str, why: Stale) -> None:
    assert anew(NIGHT, **{f"{stage}_valid": why}) == of("valid")


def test_a_reranker_that_is_due_asks_every_split() -> None:
    assert anew(NIGHT, reranker=CODE) == of(*SPLITS) | {"reranker"}
    after = Stale("", by_data=True, changed=frozenset({"user_tower"}))
    assert anew(NIGHT, reranker=after) == of(*SPLITS) | {"reranker"}


def test_candidates_of_the_events_of_now_are_not_asked_anew() -> None:
    def stale(at: AssetKeyPartitionKey) -> Stale | None:
        if at == place("ranking_metrics", "valid"):
            return CODE
        return None if at[1] == "valid" else MOVED

    assert made_anew(NIGHT, INPUTS, stale) == {place("ranking_metrics", "valid")}


READERS = ("item_tower", "retrieval_candidates_valid")


@pytest.mark.parametrize("due", [(), READERS[:1], READERS[1:]])
def test_a_baseline_is_made_anew_where_it_is_read(due: tuple[str, ...]) -> None:
    base, tower = place("base_embeddings"), place("item_tower")
    asked = {split: place("retrieval_candidates", split) for split in SPLITS}
    inputs = {base: [], tower: [base], **{at: [base] for at in asked.values()}}
    why = {tower: READERS[0], asked["valid"]: READERS[1]}
    found = made_anew(NIGHT, inputs, lambda at: CODE if why.get(at) in due else MOVED)
    assert (base in found) == bool(due)
    # What was held against the one of before stays as it was measured.
    assert found - {base} == {at for at, name in why.items() if name in due}


def test_what_is_trained_in_any_case_is_measured_in_any_case() -> None:
    found = anew(Kept.of("always", "never"))
    assert found == of(*SPLITS) | {"user_tower", "reranker"}
