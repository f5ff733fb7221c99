"""`earshot attribution`: what collaborations brought. It reads the published marts and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ingest.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What a collaboration brought: new listeners, with an honest interval.",
)

Json = Annotated[bool, typer.Option("--json", help="all of it, for programs")]
Format = Annotated[Literal["table", "json", "csv"], typer.Option("--format", "--output")]
Show = Annotated[
    str | None,
    typer.Option(help="of this show A: title, show_id, feed URL, key or guid", show_default=False),
]


@app.command()
def explain(
    collaboration_id: Annotated[
        int, typer.Argument(metavar="ID", help="of the collaboration", show_default=False)
    ],
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE|-", help="the page as Markdown; -: on the screen", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """How many new listeners a collaboration brought, how sure that is, and how the number comes about."""
    from earshot.attribution.answer import explain as answer
    from earshot.attribution.markdown import as_markdown
    from earshot.attribution.terminal import show_page
    from serving.attribution.as_json import as_json as in_json
    from serving.attribution.page import page

    if markdown is not None and as_json:
        raise typer.BadParameter("it is the one or the other: --markdown or --json", param_hint="--markdown")
    found = answer(collaboration_id, Settings.from_env())
    if as_json:
        print(json.dumps(in_json(found), indent=2, ensure_ascii=False))
    elif markdown is None:
        show_page(page(found))
    elif str(markdown) == "-":
        print(as_markdown(page(found)), end="")
    else:
        markdown.write_text(as_markdown(page(found)), "utf-8")


@app.command("list")
def list_attributions(show: Show = None, as_json: Json = False, form: Format = "table") -> None:
    """What each collaboration brought, the newest first."""
    from earshot.attribution.listed import listing
    from earshot.attribution.terminal import print_csv, show_list
    from serving.attribution.as_json import as_json as in_json

    found = listing(Settings.from_env(), show)
    if as_json or form == "json":
        print(json.dumps([in_json(one) for one in found], indent=2, ensure_ascii=False))
    elif form == "csv":
        print_csv(found)
    elif found:
        show_list(found)
    else:
        _say_none()


@app.command("totals")
def show_totals(
    by: Annotated[
        Literal["partner", "type", "month"], typer.Option(help="what a row stands for, beside the show")
    ] = "partner",
    show: Show = None,
    form: Format = "table",
) -> None:
    """What collaborations brought together, with the joint interval; a month is that of their starts."""
    from earshot.attribution import terminal
    from earshot.attribution.totals import totals
    from serving.attribution.as_json import as_json as in_json
    from serving.attribution.totals import By

    found = totals(Settings.from_env(), By(by), show)
    if form == "json":
        print(json.dumps([in_json(one) for one in found], indent=2, ensure_ascii=False))
    elif form == "csv":
        terminal.print_csv(found, is_total=True)
    elif found:
        terminal.show_totals(found, By(by))
    else:
        _say_none()


def _say_none() -> None:
    from earshot.show import say

    say(Console(stderr=True), "note", "there is none: `earshot collaboration add SHOW PARTNER`", "yellow")
