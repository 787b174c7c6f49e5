"""The kept vectors of contexts, against a list that keeps the latest by hand."""

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.recommender.online.sets import models
from beauty_rec.recommender.online.sets.models import ContextEncoder

ROOM = 4


class Encoder:
    dimension = 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_contexts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.stack([vector_of(text) for text in texts])


def vector_of(text: str) -> np.ndarray:
    draw = np.random.default_rng(zlib.crc32(text.encode()))
    return draw.standard_normal(3, dtype=np.float32)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=7)))
def test_the_latest_are_not_encoded_again(batches: list[list[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "KEPT_CONTEXTS", ROOM)
        encoder = Encoder()
        contexts = ContextEncoder(encoder)  # type: ignore[arg-type]
    kept: list[str] = []
    for batch in batches:
        encoder.asked.clear()
        vectors = contexts(batch)
        assert len(vectors) == len(batch)
        for text, vector in zip(batch, vectors, strict=True):
            np.testing.assert_array_equal(vector, vector_of(text))
        distinct = list(dict.fromkeys(batch))
        assert encoder.asked == [text for text in distinct if text not in kept]
        kept = ([text for text in kept if text not in distinct] + distinct)[-ROOM:]
