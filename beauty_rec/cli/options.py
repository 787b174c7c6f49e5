"""The command line itself, and the options that commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

ORDER = (
    *("run", "report", "search", "recommend", "feed", "similar", "serve"),
    *("experiment", "rollback", "data", "plan", "doctor", "export", "import", "forget"),
)
"""Of the commands, as people come to need them."""


class InOrder(TyperGroup):
    """Lists its commands in :data:`ORDER`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    cls=InOrder,
    help="A hybrid recommender for products with reviews, orchestrated by Dagster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Make, fetch and check input files.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def named_folder(text: str) -> Path:
    """Return the path that a text is.

    Raises:
        typer.BadParameter: it is empty, as an unset variable of a script is.
    """
    if not text.strip():
        raise typer.BadParameter("an empty name; write . for this folder, or leave the option out")
    return Path(text)


def folder_option(*names: str, **said: Any) -> Any:
    """Return a typer option of a folder that is written to."""
    return typer.Option(*names, parser=named_folder, metavar="<path>", **said)


DataDir = Annotated[
    Path | None, folder_option("--data-dir", help="where everything is kept [default: data]")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="any setting: fine_tune.epochs=3"),
]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='what items have to be: {"scent": ["rose"]}'),
]
Category = Annotated[list[str] | None, typer.Option(help="any of these; again for another")]
Brand = Annotated[list[str] | None, typer.Option(help="any of these; again for another")]
MinPrice = Annotated[float | None, typer.Option(min=0)]
MaxPrice = Annotated[float | None, typer.Option(min=0)]
K = Annotated[int, typer.Option("-k", min=1, max=1000, help="items at most")]
AsJson = Annotated[bool, typer.Option("--json", help="the API's answer")]
