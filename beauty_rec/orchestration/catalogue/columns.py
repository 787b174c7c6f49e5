"""Meanings and origins of the frames' columns, for the catalogue of the UI."""

from collections.abc import Iterator, Mapping

import dagster as dg
import polars as pl

COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    "raw_reviews": {
        "review_id": (
            "hash of user, item and time; stable",
            "reviews_file.user_id, reviews_file.parent_asin, reviews_file.timestamp",
        ),
        "user_id": ("who wrote it", "reviews_file.user_id"),
        "parent_asin": ("the item", "reviews_file.parent_asin"),
        "timestamp": ("Unix milliseconds", "reviews_file.timestamp"),
        "rating": ("1 to 5 stars", "reviews_file.rating"),
        "title": ("cleaned: no markup, no odd spaces", "reviews_file.title"),
        "text": ("cleaned: no markup, no odd spaces", "reviews_file.text"),
        "raw_title": ("as it was in the file", "reviews_file.title"),
        "raw_text": ("as it was in the file", "reviews_file.text"),
        "helpful_vote": ("readers who found it helpful", "reviews_file.helpful_vote"),
        "verified_purchase": ("bought at the shop", "reviews_file.verified_purchase"),
        "context": ("text known before the choice: an occasion", "reviews_file.context"),
        "extras": ("further fields of the file, as JSON", ""),
    },
    "raw_items": {
        "parent_asin": ("the item; unique", "metadata_file.parent_asin"),
        "title": ("cleaned", "metadata_file.title"),
        "main_category": ("as the shop has it", "metadata_file.main_category"),
        "store": ("seller or brand", "metadata_file.store"),
        "price": ("empty where the file has none, or an ambiguous one", "metadata_file.price"),
        "raw_price": ("the price as it was written, where it is a text", "metadata_file.price"),
        "features": ("bullet points", "metadata_file.features"),
        "description": ("joined paragraphs", "metadata_file.description"),
        "categories": ("path of categories", "metadata_file.categories"),
        "category": (
            "one category an item, guessed where the file has none",
            "metadata_file.categories, metadata_file.title, metadata_file.main_category",
        ),
        "category_source": ("where the category comes from", "metadata_file.categories"),
        "details": ("further attributes, as JSON", "metadata_file.details"),
        "average_rating": (
            "snapshot of 2023: shown, never learned from",
            "metadata_file.average_rating",
        ),
        "rating_number": (
            "snapshot of 2023: shown, never learned from",
            "metadata_file.rating_number",
        ),
    },
    "user_profiles": {
        "user_id": ("the user; unique", "profiles_file.user_id"),
        "height_cm": ("body height", "profiles_file.height_cm"),
        "weight_kg": ("body weight", "profiles_file.weight_kg"),
        "age": ("years", "profiles_file.age"),
    },
    "user_lists": {
        "user_id": ("the user", "split_reviews.user_id"),
        "rank": ("1 for the best", ""),
        "parent_asin": ("the item", "raw_items.parent_asin"),
        "score": ("of the served order", ""),
        "version": ("the served set that it comes from", ""),
    },
    "split_reviews": {"split": ("train, valid or test, by time", "raw_reviews.timestamp")},
    "keywords": {
        "review_id": ("the review", "split_reviews.review_id"),
        "parent_asin": ("the item", "split_reviews.parent_asin"),
        "who": ("for whom it was bought", "split_reviews.title, split_reviews.text"),
        "when": ("occasion, season or time of day", "split_reviews.title, split_reviews.text"),
        "why": ("reasons, needs and effects", "split_reviews.title, split_reviews.text"),
        "source": ("extractor that said so", ""),
    },
    "item_attributes": {
        "parent_asin": ("the item; unique", "raw_items.parent_asin, split_reviews.parent_asin"),
        "category": ("STD: kind of product", "raw_items.category, raw_items.title"),
        "brand": ("STD: maker", "raw_items.store, raw_items.title, raw_items.details"),
        "gender": ("STD: for whom it is made", "raw_items.title, raw_items.description"),
        "age_group": ("STD: for whom it is made", "raw_items.title, raw_items.description"),
        "positioning": ("STD: price level", "raw_items.title, raw_items.description"),
        "context": ("RE: contexts in which train events chose it", "split_reviews.context"),
        "summary": (
            "the description in a few words",
            "raw_items.title, raw_items.features, raw_items.description, keywords.why",
        ),
        "source": ("extractor that said so", ""),
    },
    "merged_items": {
        "parent_asin": ("the item; unique", "item_attributes.parent_asin"),
        "title": ("for people", "raw_items.title"),
        "text": (
            "what the retriever reads",
            "raw_items.title, raw_items.features, item_attributes.summary, "
            "keywords.who, keywords.when, keywords.why",
        ),
        "keywords": (
            "of train reviews, most telling first",
            "keywords.who, keywords.when, keywords.why",
        ),
    },
    "training_pairs": {
        "query": ("a train review's own words", "split_reviews.text, keywords.why"),
        "positive": (
            "the item's text without that review's share",
            "raw_items.title, raw_items.features, item_attributes.summary, keywords.why",
        ),
        "parent_asin": ("the item", "split_reviews.parent_asin"),
        "review_id": ("the review that asks", "split_reviews.review_id"),
    },
    "retrieval_candidates": {
        "query_type": ("what the query is made of: review_text or keywords", ""),
        "review_id": ("the query's review", "split_reviews.review_id"),
        "parent_asin": ("the answer", "split_reviews.parent_asin"),
        "answerable": ("the answer had any text before the cut", "merged_items.text"),
        "rank_popularity": ("exact rank of the answer", "split_reviews.parent_asin"),
        "rank_bm25": ("exact rank of the answer", "merged_items.text, split_reviews.text"),
        "rank_base_encoder": ("exact rank of the answer", "merged_items.text, split_reviews.text"),
        "rank_text_retriever": (
            "exact rank of the answer",
            "merged_items.text, split_reviews.text",
        ),
        "candidates": ("top 100 of the served index, of a text", "merged_items.parent_asin"),
        "scores": ("cosine of each candidate", "merged_items.text, split_reviews.text"),
        "events": ("version of the events that the split had", ""),
    },
    "online_metrics": {
        "kind": ("recommend, search, similar or feed", ""),
        "day": ("UTC; empty: all days together", ""),
        "dimension": ("what the row is of: all, version, variant, … experiment", ""),
        "value": ("which version, order, … the row is of", ""),
        "answers": ("answers that showed something", ""),
        "shown": ("items that they showed", ""),
        "clicks": ("shown items that were clicked, put into the cart or bought", ""),
        "purchases": ("shown items that were bought", ""),
        "ctr": ("clicks, of the shown items; 95% interval beside it, users drawn whole", ""),
        "conversion": ("purchases, of the shown items; 95% interval beside it", ""),
        "items": ("distinct items that were shown", ""),
        "coverage": ("the same, of the catalogue", ""),
        "propensity": ("of a look at this position, relative to the first", ""),
        "debiased_ctr": ("as if all had stood first, by inverse propensity", ""),
        "effective": ("rows of equal weight that are worth as much", ""),
        "covered": ("share of the rows whose position has a propensity", ""),
        "clipped": ("share of those whose weight was cut", ""),
        "greedy_ctr": ("as if nothing had been left to chance, by logged propensities", ""),
        "greedy_low": ("95%, users drawn whole", ""),
        "greedy_high": ("95%, users drawn whole", ""),
        "difference": ("of the variant's click-through to the control's", ""),
        "difference_low": ("its confidence sequence: at all moments at once", ""),
        "difference_high": ("its confidence sequence: at all moments at once", ""),
        "p": ("of no difference to the control, valid whenever it is looked at", ""),
    },
}
"""Asset → column → meaning, and the columns it is made from."""

LISTS = ("user_candidates", "recommendations")
"""Assets whose columns follow the sources and orders that there are."""
SAME_AS = {"split_reviews": "raw_reviews"}
"""Asset → the parent whose columns it hands on."""
OTHERWISE = {
    "item_attributes": (
        "RE: any number of values",
        "raw_items.title, raw_items.description, keywords.why",
    ),
    "user_profiles": ("field of the profile", ""),
}
"""Asset → what its columns mean that only the data or the domain names."""


def column_metadata(asset: str, schema: Mapping[str, pl.DataType]) -> dict[str, object]:
    """Return Dagster's column schema and column lineage of a frame."""
    known = {name: _known(asset, name) for name in schema}
    columns = [
        dg.TableColumn(name, str(dtype), description=known[name][0] or None)
        for name, dtype in schema.items()
    ]
    lineage = {
        name: [dg.TableColumnDep(dg.AssetKey(parent), column) for parent, column in sources]
        for name in schema
        if (sources := list(_sources(known[name][1])))
    }
    found: dict[str, object] = {"dagster/column_schema": dg.TableSchema(columns)}
    if lineage:
        found["dagster/column_lineage"] = dg.TableColumnLineage(lineage)
    return found


def columns_of(asset: str) -> Mapping[str, tuple[str, str]]:
    """Return what is known of an asset: column → meaning, and the columns it is made from."""
    if asset in LISTS:
        # Loads the recommender, which nothing but a step of these needs.
        from beauty_rec.orchestration.catalogue import list_columns

        return list_columns.LISTS[asset]
    return COLUMNS.get(asset, {})


def _known(asset: str, column: str) -> tuple[str, str]:
    known = columns_of(asset)
    if column in known:
        return known[column]
    parent = SAME_AS.get(asset)
    if parent is not None and column in COLUMNS[parent]:
        return COLUMNS[parent][column][0], f"{parent}.{column}"
    return OTHERWISE.get(asset, ("", ""))


def _sources(columns: str) -> Iterator[tuple[str, str]]:
    for source in filter(None, columns.split(", ")):
        parent, _, column = source.partition(".")
        yield parent, column
