"""`beauty-rec feed` and `similar`: what the served set shows without a question, or of an item."""

import json
from typing import Annotated, Any

import typer

from beauty_rec.cli.commands import (
    Brand,
    Category,
    DataDir,
    FilterOption,
    MaxPrice,
    MinPrice,
    Set,
    app,
)
from beauty_rec.cli.inputs import given_filter, load_settings
from beauty_rec.cli.terminal import show
from beauty_rec.recommender.online.feeds.question import (
    MOST_SHELVES,
    FeedName,
    FeedQuestion,
    UnfitFeed,
)
from beauty_rec.recommender.online.requests import SimilarBy


@app.command("feed")
def feed_command(
    name: Annotated[FeedName, typer.Argument(help="which of the lists")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000)] = 10,
    user: Annotated[
        str | None, typer.Option(help="whose past items are left out, or have their shelves")
    ] = None,
    item: Annotated[
        str | None, typer.Option(metavar="ASIN", help="that bought-together is about")
    ] = None,
    context: Annotated[str | None, typer.Option(help="the occasion, of popular alone")] = None,
    shelves: Annotated[int, typer.Option(min=1, max=MOST_SHELVES)] = 3,
    filters: FilterOption = None,
    category: Category = None,
    brand: Brand = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    as_json: Annotated[bool, typer.Option("--json", help="the API's answer")] = False,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Show a feed of the served set: trending, new-arrivals, popular, bought-together, …"""
    from beauty_rec.serving.state.engine import Engine

    asked = given_filter(filters, category, brand, min_price, max_price)
    try:
        question = FeedQuestion(name, k, asked, user, item, context, shelves)
        with Engine.open(load_settings(data_dir, settings)) as engine:
            found = engine.feed(question)
    except UnfitFeed as error:
        option = {"parent_asin": "item", "user_id": "user"}.get(error.field, error.field)
        raise ValueError(f"--{option}: {error}") from None
    if as_json:
        show(json.dumps(found, indent=1, ensure_ascii=False))
        return
    from beauty_rec.recommender.online.search import label

    _show_hits(found["items"])
    for shelf in found["shelves"]:
        show(f"because of {shelf['because']['parent_asin']}  {label(shelf['because'])}")
        _show_hits(shelf["items"])
    for note in found["notes"]:
        show(f"note: {note}")


@app.command("similar")
def similar_command(
    item: Annotated[str, typer.Argument(metavar="ASIN", help="the item that others are like")],
    by: Annotated[SimilarBy, typer.Option(help="by texts, the item tower, or buyers")] = "text",
    k: Annotated[int, typer.Option("-k", min=1, max=1000)] = 10,
    filters: FilterOption = None,
    category: Category = None,
    brand: Brand = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    as_json: Annotated[bool, typer.Option("--json", help="the API's answer")] = False,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Find the items most like one, in the served set."""
    from beauty_rec.serving.state.engine import Engine, UnknownItem

    asked = given_filter(filters, category, brand, min_price, max_price)
    with Engine.open(load_settings(data_dir, settings)) as engine:
        try:
            found = engine.similar(item, k, by, asked)
        except UnknownItem as error:
            raise ValueError(str(error)) from None
    if as_json:
        show(json.dumps(found, indent=1, ensure_ascii=False))
        return
    _show_hits(found["items"])


def _show_hits(hits: list[dict[str, Any]]) -> None:
    from beauty_rec.recommender.online.search import label

    for hit in hits:
        said = "  ".join(f"{name} {value:.3g}" for name, value in hit.get("figures", {}).items())
        line = f"{hit['rank']:>3}  {hit['score']:.3f}  {hit['parent_asin']}  {label(hit)}"
        show(f"{line}  {said}".rstrip())
