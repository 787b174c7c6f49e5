"""The one partition set, `split`, and what an asset reads: of which splits, and which columns."""

import dagster as dg
import polars as pl

from beauty_rec.settings import SPLITS, Split

splits = dg.StaticPartitionsDefinition(list(SPLITS))
# Texts are nine tenths of what reviews take in memory.
WITH_CONTEXTS = pl.exclude("title", "raw_title", "raw_text")
WITHOUT_TEXTS = pl.exclude("title", "text", "raw_title", "raw_text")


def only(split: Split) -> dg.SpecificPartitionsPartitionMapping:
    """Depend on one split of a partitioned asset, whatever the asset's own split is."""
    return dg.SpecificPartitionsPartitionMapping([split])


def encode_parts(parts: dict[str, str]) -> str:
    """Write the versions of an artifact's parts as one data version.

    >>> encode_parts({"train": "ab", "test": "cd"})
    'test=cd;train=ab'
    """
    return ";".join(f"{name}={version}" for name, version in sorted(parts.items()))


def decode_parts(version: str) -> dict[str, str]:
    """Undo :func:`encode_parts`; empty for a version that has no parts."""
    pairs = (part.partition("=") for part in version.split(";"))
    return {name: value for name, equals, value in pairs if equals}
