# %% [markdown]
# # The rooms as a library
#
# beauty_rec without Dagster, without a data folder, without a server: a tiny shop in memory, its
# items as vectors, two lists of candidates, their fusion, and what each is worth.
#
#     python examples/without_dagster.py
#
# Run it as it is, or cell by cell: editors and Jupytext read `# %%` as the start of a cell.

# %%
import numpy as np

from beauty_rec.artifacts import Vectors
from beauty_rec.measures.metrics import per_query
from beauty_rec.measures.significance import compare
from beauty_rec.recommender.diversity import diversify
from beauty_rec.recommender.fusion import fused, normalised
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.search.exact import ExactIndex
from beauty_rec.settings import PACKAGED_ENCODER, EncoderSettings

# %% [markdown]
# ## A shop
#
# Texts as the pipeline writes them: a title, and what reviewers said.

# %%
ITEMS = {
    "scalp-shampoo": "[Title] Oat shampoo [Review Keywords] dry itchy scalp, gentle, no fragrance",
    "clear-shampoo": "[Title] Clarifying shampoo [Review Keywords] oily hair, after swimming",
    "curl-cream": "[Title] Curl cream [Review Keywords] frizz, humid days, coily hair",
    "hair-oil": "[Title] Argan oil [Review Keywords] split ends, shine, smells of nuts",
    "matte-lipstick": "[Title] Matte lipstick [Review Keywords] wedding guest, lasts all day",
    "lip-balm": "[Title] Honey lip balm [Review Keywords] chapped lips, winter, gift",
    "sun-stick": "[Title] Sun stick SPF 50 [Review Keywords] hiking, gym bag, no white cast",
    "body-wash": "[Title] Mint body wash [Review Keywords] after the gym, wakes me up",
    "rose-perfume": "[Title] Rose perfume [Review Keywords] anniversary gift, lasts, romantic",
    "hand-cream": "[Title] Hand cream [Review Keywords] cracked hands, nurses, winter",
}
PASTS = [  # what each shopper had, what is looked for now, and what was taken in the end
    (["curl-cream"], "something mild, my head itches all the time", "scalp-shampoo"),
    (["body-wash"], "sun protection that fits into my gym bag", "sun-stick"),
    (["matte-lipstick"], "a romantic present for our anniversary", "rose-perfume"),
    (["hand-cream"], "my lips crack in the cold", "lip-balm"),
    (["hair-oil"], "my hair is greasy after the pool", "clear-shampoo"),
    (["rose-perfume"], "lip colour that survives a wedding", "matte-lipstick"),
    (["lip-balm"], "nothing in particular", "hand-cream"),
    (["scalp-shampoo"], "nothing in particular", "hair-oil"),
]
ids = list(ITEMS)
row_of = {item: row for row, item in enumerate(ids)}

# %% [markdown]
# ## Vectors
#
# The packaged encoder: no download, 384 numbers a text, all of length 1.

# %%
encoder = TextEncoder.load(PACKAGED_ENCODER, EncoderSettings(device="cpu", precision="float32"))
items = Vectors(ids, encoder.encode_items(list(ITEMS.values())))
wishes = encoder.encode_queries([wish for _, wish, _ in PASTS])  # [Q, D]
tastes = np.stack(
    [items.matrix[[row_of[had] for had in past]].mean(axis=0) for past, _, _ in PASTS]
)
print(f"{len(ids)} items, {len(PASTS)} shoppers, vectors of {encoder.dimension} numbers")

# %% [markdown]
# ## Two sources of candidates
#
# What fits the wish, and what is like the past. What a shopper had already leaves the lists.

# %%
index = ExactIndex(items)


def scores_of(queries: np.ndarray) -> np.ndarray:
    """Return the score of every item for each query, NaN for what the shopper had: [Q, N]."""
    found = index.search(queries.astype(np.float32), k=len(ids))
    table = np.full((len(queries), len(ids)), np.nan, np.float32)
    for row, (names, own) in enumerate(zip(found.ids, found.scores, strict=True)):
        table[row, [row_of[name] for name in names]] = own
        table[row, [row_of[had] for had in PASTS[row][0]]] = np.nan
    return table


def best_first(scores: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each query's items, best first."""
    return [np.argsort(-own, kind="stable")[: np.isfinite(own).sum()] for own in scores]


by_wish, by_past = scores_of(wishes), scores_of(tastes)

# %% [markdown]
# ## Fusion
#
# Each source's scores are divided by its best of the ask, then summed with weights.

# %%
SOURCES, WEIGHTS = ("wish", "past"), {"wish": 1.0, "past": 0.3}
together = []
for wish, past in zip(by_wish, by_past, strict=True):
    scores = np.column_stack([wish, past])  # [N, S]
    tops = np.array([[np.nanmax(own), np.nanmin(own)] for own in scores.T], np.float32)
    total = fused(normalised(scores, tops, (False, False)), SOURCES, WEIGHTS)
    together.append(np.where(np.isnan(wish), np.nan, total))

# %% [markdown]
# ## What it is worth
#
# The rank of what was really taken. An answer that is not in a list has no rank.


# %%
def ranks(lists: list[np.ndarray]) -> np.ndarray:
    """Return the rank of each shopper's answer, from 1; infinity where it is missing."""
    places = [
        np.flatnonzero(rows == row_of[taken])
        for rows, (_, _, taken) in zip(lists, PASTS, strict=True)
    ]
    return np.array([float(place[0] + 1) if len(place) else np.inf for place in places])


methods = {
    "by wish": ranks(best_first(by_wish)),
    "by past": ranks(best_first(by_past)),
    "fused": ranks(best_first(together)),
}
METRICS = ("recall@1", "recall@5", "mrr", "ndcg@10")
print(f"\n{'':<10}" + "".join(f"{metric:>10}" for metric in METRICS))
for method, of_method in methods.items():
    values = per_query(of_method)
    print(f"{method:<10}" + "".join(f"{values[metric].mean():>10.3f}" for metric in METRICS))

# A fused list stands beside each of its sources; eight shoppers prove nothing either way.
print()
for source in ("by wish", "by past"):
    test = compare(methods["fused"], methods[source])["mrr"]
    print(f"MRR, fused against {source}: {test['difference']:+.3f} (p = {test['p']:.2f})")

# %% [markdown]
# ## One answer, and a more varied one

# %%
rows = best_first(together)[0]
scores = together[0][rows].astype(np.float32)
varied = rows[diversify(scores, items.matrix[rows], k=3, diversity=0.7)]
print(f"\n{PASTS[0][1]!r}")
print("  fused: ", ", ".join(ids[row] for row in rows[:3]))
print("  varied:", ", ".join(ids[row] for row in varied))
