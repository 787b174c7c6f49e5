"""The served set is kept out of garbage collection; what was served before is not."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from beauty_rec.serving.state.garbage import set_aside


class Part:
    """A part of a set, in a cycle as parts of models are."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def nothing_stays_aside() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_a_collection_walks_over_nothing_that_is_served() -> None:
    served = [Part() for _ in range(1_000)]
    set_aside()
    assert gc.get_freeze_count() >= len(served)
    assert not any(one in served for one in gc.get_objects() if isinstance(one, Part))


def test_the_set_before_is_collected_at_the_next_call() -> None:
    served = Part()
    gone = weakref.ref(served)
    set_aside()
    del served
    gc.collect()
    assert gone() is not None
    set_aside()
    assert gone() is None
