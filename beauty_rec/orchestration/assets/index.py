"""[index] Vectors, served."""

from typing import Any

import dagster as dg

from beauty_rec.artifacts import Vectors
from beauty_rec.orchestration.stage import stage
from beauty_rec.settings import Settings

GROUP = "index"


@stage(
    group=GROUP,
    io="documents",
    code=("indexes/chroma.py",),
    settings=("text_index",),
    kinds=("chroma",),
)
def text_index(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    item_embeddings: Vectors,
) -> dict[str, Any]:
    """The ChromaDB index of the item texts: built aside, verified, then switched to."""
    from beauty_rec.indexes.chroma import build_index
    from beauty_rec.indexes.version import content_version

    version = content_version(item_embeddings, settings.text_index)
    context.set_data_version(context.asset_key, dg.DataVersion(version))
    built = build_index(
        settings.data_dir / "chromadb", item_embeddings, version, settings.text_index
    )
    context.add_asset_metadata(
        {"dagster/row_count": built.rows, "recall_vs_exact@100": built.recall_vs_exact}
    )
    return {
        "version": built.version,
        "rows": built.rows,
        "dimension": built.dimension,
        "recall_vs_exact@100": built.recall_vs_exact,
    }
