"""Items as rows: of lists, of an answer set."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

Indices = NDArray[np.int64]


def answer_set(scored_ids: list[str], *more: pl.Series) -> list[str]:
    """Return every item that could be the answer: ``scored_ids`` first and in order, then the rest.

    Args:
        scored_ids: items that a method can score (``merged_items``), unique.
        more: further ids: ``parent_asin`` of all reviews, of all metadata rows.
    """
    known = set(scored_ids)
    rest: set[str] = set().union(*(ids.unique().to_list() for ids in more)) - known
    return [*scored_ids, *sorted(rest)]


def rows_of(ids: pl.Series, among: list[str]) -> Indices:
    """Return the position of each id in ``among`` (unique), int64; -1 where it is not there."""
    places = pl.DataFrame(
        {"id": among, "row": np.arange(len(among))}, schema={"id": pl.String, "row": pl.Int64}
    )
    found = pl.DataFrame({"id": ids.cast(pl.String)}).join(
        places, on="id", how="left", maintain_order="left"
    )
    return found["row"].fill_null(-1).to_numpy().astype(np.int64)


def item_lists(lists: pl.Series, among: list[str]) -> csr_array:
    """Return a list column of ids as a sparse matrix of ones, float32 ``[Q, N]``.

    Ids that ``among`` lacks are left out; an id twice in a list counts once.
    """
    frame = pl.DataFrame({"query": np.arange(len(lists)), "id": lists})
    pairs = frame.explode("id").drop_nulls("id").unique()
    columns = rows_of(pairs["id"], among)
    known = columns >= 0
    rows: NDArray[np.int64] = pairs["query"].to_numpy()[known]
    ones = np.ones(len(rows), dtype=np.float32)
    return csr_array((ones, (rows, columns[known])), shape=(len(lists), len(among)))
