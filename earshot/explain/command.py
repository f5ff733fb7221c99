"""The command `earshot explain`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import typer
from rich.console import Console

from ingest.settings import Settings, Window


def explain(
    episode: Annotated[str, typer.Option(help="episode_id, or the URL of its enclosure", show_default=False)],
    day: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], help="a date in EARSHOT_TIME_ZONE", show_default=False),
    ],
    show: Annotated[str | None, typer.Option(help="show_id, where several shows have the episode_id")] = None,
    listener: Annotated[
        str | None,
        typer.Option(help="a listener key, or its first digits: shows every request", show_default=False),
    ] = None,
    window: Annotated[Window | None, typer.Option(help="under one window rule only")] = None,
    source_class: Annotated[
        Literal["server_log", "prefix"] | None, typer.Option("--class", help="of one source class only")
    ] = None,
    output: Annotated[Literal["table", "json"], typer.Option(help="table or json")] = "table",
) -> None:
    """Show why an episode has the downloads it has on a day: by listener, window, request and log line."""
    from earshot.explain.answer import Question
    from earshot.explain.answer import explain as answer
    from earshot.explain.show import show_explanation
    from ingest.schema import SourceClass

    question = Question(
        episode, day.date(), show, listener, SourceClass(source_class) if source_class else None
    )
    with Console(stderr=True).status("") as status:
        explanation = answer(question, Settings.from_env(), status.update)
    show_explanation(explanation, window, output)
