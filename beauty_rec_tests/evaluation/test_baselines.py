import math

import numpy as np
import polars as pl
import pytest

from beauty_rec.evaluation.baselines import BM25, item_cf_ranks, item_similarity
from beauty_rec.evaluation.popularity import popularity_scores
from beauty_rec_tests.evaluation.conftest import IDS


def test_item_cf_equals_slow_cosines(train, seen):
    answers, left_out = seen
    similarity = item_similarity(train, IDS)
    buyers = {i: set(train.filter(pl.col("parent_asin") == i)["user_id"]) for i in IDS}
    slow = np.zeros((12, 12))
    for a, one in enumerate(IDS):
        for b, other in enumerate(IDS):
            size = math.sqrt(len(buyers[one]) * len(buyers[other]))
            if a != b and size:
                slow[a, b] = len(buyers[one] & buyers[other]) / size
    np.testing.assert_allclose(similarity.similar(np.arange(12)).toarray(), slow, atol=1e-6)

    random = np.random.default_rng(9)
    histories = [
        [] if n % 5 == 0 else [IDS[i] for i in random.choice(12, 1 + n % 3)]
        for n in range(len(answers))
    ]
    popularity = popularity_scores(train, IDS)
    found = item_cf_ranks(
        similarity, pl.Series(histories), IDS, answers, popularity=popularity, seen=left_out
    )
    for query, (history, answer) in enumerate(zip(histories, answers, strict=True)):
        total = sum((slow[IDS.index(i)] for i in set(history)), np.zeros(12))
        keys = [(round(s, 5), 0 if s > 0 else p) for s, p in zip(total, popularity, strict=True)]
        left = [key for i, key in enumerate(keys) if not left_out[[query]].toarray()[0, i]]
        higher = sum(key > keys[answer] for key in left)
        level = sum(key == keys[answer] for key in left)
        assert found[query] == higher + (level + 1) / 2


def slow_bm25(texts, query, k1=1.5, b=0.75):
    mean = np.mean([len(t) for t in texts])
    scores = np.zeros(len(texts))
    for word in query:
        holders = sum(word in t for t in texts)
        idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        for i, text in enumerate(texts):
            often = text.count(word)
            scores[i] += idf * often / (often + k1 * (1 - b + b * len(text) / mean))
    return scores


def test_bm25_equals_the_formula():
    texts = ["oil skin oil", "shampoo hair hair smell", "cream skin", "brush"]
    queries = ["skin oil", "hair unheard skin", "nothing", ""]
    found = BM25(texts).scores(queries)
    for row, query in zip(found, queries, strict=True):
        expected = slow_bm25([t.split() for t in texts], query.split())
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_bm25_knows_inflections_and_ranks_unknown_items_last():
    model = BM25(["moisturizing creams for the face", "a brush"])
    assert model.scores(["I love this cream, it moisturizes"])[0, 0] > 0
    ranks = model.ranks(["cream", "cream", "is the of"], np.array([0, -1, 1]), 6)
    assert ranks.tolist() == [1.0, 4.5, 1.5]


@pytest.mark.parametrize("texts", [[], ["", "the of"]])
def test_bm25_without_any_word_ties_all(texts):
    ranks = BM25(texts).ranks(["cream"], np.array([-1]), 5)
    assert ranks.tolist() == [len(texts) + (5 - len(texts) + 1) / 2]
