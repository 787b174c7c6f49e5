"""`beauty-rec search`, `recommend`, `feed` and `similar`: what the served set answers."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from beauty_rec.cli.inputs import checked, given_filter, given_id, load_settings, readable
from beauty_rec.cli.options import (
    AsJson,
    Brand,
    Category,
    DataDir,
    FilterOption,
    K,
    MaxPrice,
    MinPrice,
    Set,
    app,
)
from beauty_rec.cli.terminal import show
from beauty_rec.recommender.online.feeds.question import (
    MOST_SHELVES,
    FeedName,
    FeedQuestion,
    UnfitFeed,
)
from beauty_rec.recommender.online.requests import SearchOrder, SimilarBy


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="what is looked for, in plain words")],
    k: K = 10,
    data_dir: DataDir = None,
    order: Annotated[
        SearchOrder, typer.Option(help="by vectors, words and titles, or by one of them")
    ] = "hybrid",
    filters: FilterOption = None,
    category: Category = None,
    brand: Brand = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    as_json: AsJson = False,
    settings: Set = None,
) -> None:
    """Find items by text, in the served set."""
    from beauty_rec.recommender.online.search import SearchQuestion
    from beauty_rec.serving.state.engine import Engine

    if not readable(text, "the search text").strip():
        raise ValueError("the search text is empty")
    asked = given_filter(filters, category, brand, min_price, max_price)
    with Engine.open(load_settings(data_dir, settings)) as engine:
        found = engine.search([SearchQuestion(text, k, asked, order)])[0]
    _show(found, as_json, _hit_lines(found["items"]))


@app.command()
def recommend(
    user: Annotated[str | None, typer.Option(help="a known user's id")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ASIN", help="past items, oldest first; again for each, or parted by commas"
        ),
    ] = None,
    context: Annotated[str | None, typer.Option(help="what is looked for, or the occasion")] = None,
    height_cm: Annotated[float | None, typer.Option(min=0, max=300)] = None,
    weight_kg: Annotated[float | None, typer.Option(min=0, max=500)] = None,
    k: K = 10,
    filters: FilterOption = None,
    category: Category = None,
    brand: Brand = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Recommend items to a shopper: known by id, described here, or not at all."""
    from beauty_rec.cli.answer_view import recommendation_lines
    from beauty_rec.recommender.online.requests import RecommendRequest
    from beauty_rec.serving.state.engine import Engine

    profile = {"height_cm": height_cm, "weight_kg": weight_kg}
    names = [name for chosen in history or [] for name in chosen.split(",") if name.strip()]
    request = checked(
        RecommendRequest,
        "recommend",
        user_id=user,
        history=names,
        context=context,
        profile={name: value for name, value in profile.items() if value is not None},
        k=k,
        filters=given_filter(filters, category, brand, min_price, max_price),
    )
    with Engine.open(load_settings(data_dir, settings)) as engine:
        answer = engine.recommend([request])[0]
    _show(answer, as_json, recommendation_lines(answer))


@app.command("feed")
def feed_command(
    name: Annotated[FeedName, typer.Argument(help="which of the lists")],
    k: K = 10,
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
    as_json: AsJson = False,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Show a feed of the served set: trending, new-arrivals, popular, bought-together, …"""
    from beauty_rec.serving.state.engine import Engine

    asked = given_filter(filters, category, brand, min_price, max_price)
    user = None if user is None else given_id(user, "--user")
    item = None if item is None else given_id(item, "--item")
    readable(context or "", "--context")
    try:
        question = FeedQuestion(name, k, asked, user, item, context, shelves)
        with Engine.open(load_settings(data_dir, settings)) as engine:
            found = engine.feed(question)
    except UnfitFeed as error:
        option = {"parent_asin": "item", "user_id": "user"}.get(error.field, error.field)
        raise ValueError(f"--{option}: {error}") from None
    _show(found, as_json, _feed_lines(found))


@app.command("similar")
def similar_command(
    item: Annotated[str, typer.Argument(metavar="ASIN", help="the item that others are like")],
    by: Annotated[SimilarBy, typer.Option(help="by texts, the item tower, or buyers")] = "text",
    k: K = 10,
    filters: FilterOption = None,
    category: Category = None,
    brand: Brand = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    settings: Set = None,
) -> None:
    """Find the items most like one, in the served set."""
    from beauty_rec.serving.state.engine import Engine
    from beauty_rec.serving.state.live_shop import UnknownItem

    asked = given_filter(filters, category, brand, min_price, max_price)
    item = given_id(item, "the id")
    with Engine.open(load_settings(data_dir, settings)) as engine:
        try:
            found = engine.similar(item, k, by, asked)
        except UnknownItem as error:
            raise ValueError(str(error)) from None
    _show(found, as_json, _hit_lines(found["items"]))


def _show(answer: dict[str, Any], as_json: bool, lines: Iterable[str]) -> None:
    """Show an answer as the API gives it, or as lines."""
    for line in [json.dumps(answer, indent=1, ensure_ascii=False)] if as_json else lines:
        show(line)


def _feed_lines(found: dict[str, Any]) -> Iterator[str]:
    from beauty_rec.recommender.online.search import label

    yield from _hit_lines(found["items"])
    for shelf in found["shelves"]:
        yield f"because of {shelf['because']['parent_asin']}  {label(shelf['because'])}"
        yield from _hit_lines(shelf["items"])
    for note in found["notes"]:
        yield f"note: {note}"


def _hit_lines(hits: list[dict[str, Any]]) -> Iterator[str]:
    from beauty_rec.recommender.online.search import label

    for hit in hits:
        said = "  ".join(f"{name} {value:.3g}" for name, value in hit.get("figures", {}).items())
        line = f"{hit['rank']:>3}  {hit['score']:.3f}  {hit['parent_asin']}  {label(hit)}"
        yield f"{line}  {said}".rstrip()
