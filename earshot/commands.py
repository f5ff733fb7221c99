"""The commands that answer for the counts: explain, report, methodology. They change nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ingest.settings import SettingError, Settings, Window

Class = Literal["server_log", "prefix"]
Output = Annotated[Literal["table", "json", "csv"], typer.Option()]
_DAY = ["%Y-%m-%d"]


def explain(
    episode: Annotated[str, typer.Option(help="episode_id, or the URL of its enclosure", show_default=False)],
    day: Annotated[
        datetime, typer.Option(formats=_DAY, help="a date in EARSHOT_TIME_ZONE", show_default=False)
    ],
    show: Annotated[
        str | None, typer.Option(help="show_id, where several shows have the episode_id", show_default=False)
    ] = None,
    listener: Annotated[
        str | None,
        typer.Option(help="a listener key, or its first digits: shows every request", show_default=False),
    ] = None,
    window: Annotated[
        Window | None, typer.Option(help="under one window rule only", show_default=False)
    ] = None,
    source_class: Annotated[
        Class | None, typer.Option("--class", help="of one source class only", show_default=False)
    ] = None,
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
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


def report(
    by: Annotated[
        Literal[
            "hour", "day", "week", "month",
            "episode", "show", "app", "country", "device", "device_category", "os",
            "network_kind", "asn", "source",
        ],
        typer.Option(help="what a row stands for"),
    ] = "day",
    show: Annotated[str | None, typer.Option(help="a show_id", show_default=False)] = None,
    episode: Annotated[str | None, typer.Option(help="an episode_id", show_default=False)] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, help="first date", show_default=False)
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY, help="last date, inclusive", show_default=False)
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="in which periods begin; EARSHOT_TIME_ZONE", show_default=False)
    ] = None,
    source_class: Annotated[
        Class | None, typer.Option("--class", help="server_log where there is any", show_default=False)
    ] = None,
    window: Annotated[
        Window | None, typer.Option(help="the published rule where none is given", show_default=False)
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare-windows", help="downloads under all three rules, as alternatives")
    ] = False,
    output: Output = "table",
) -> None:  # fmt: skip
    """Count the published downloads over any period: by hour, day, week, month, episode, app and more."""
    from earshot.report import By, Question
    from earshot.report import report as answer
    from earshot.show_report import show_report
    from ingest.schema import SourceClass

    try:
        zone = Settings.from_env(time_zone=time_zone).time_zone
    except SettingError as error:
        if time_zone is None:
            raise
        raise typer.BadParameter(str(error), param_hint="--time-zone") from None
    question = Question(
        By(by),
        show,
        episode,
        first.date() if first else None,
        last.date() if last else None,
        zone,
        SourceClass(source_class) if source_class else None,
        window,
        compare,
    )
    show_report(answer(question, Settings.from_env()), question, output)


def methodology(
    form: Annotated[Literal["markdown", "html"], typer.Option("--format")] = "markdown",
    output: Annotated[Path | None, typer.Option(help="a file, else the screen", show_default=False)] = None,
) -> None:
    """Print what is counted and by which rules, as the guideline asks it to be disclosed."""
    from earshot.methodology import statement
    from earshot.show import show_markdown
    from serving.methodology.statement import as_page

    text = statement(Settings.from_env())
    page = as_page(text) if form == "html" else text
    if output is not None:
        output.write_text(page, "utf-8")
    elif form == "html":
        print(page)
    else:
        show_markdown(page)
