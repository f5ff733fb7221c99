"""`earshot lists`: the reference lists in use; `earshot lists refresh`: look for newer ones now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from earshot.exit_codes import FAILED
from ingest.settings import Settings

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from ingest.reference.refresh import Refreshed

app = typer.Typer(no_args_is_help=False, rich_markup_mode=None, help="The reference lists in use.")


_COLUMNS = ("list", "version", "entries", "origin", "fetched", "in use")


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    all_versions: Annotated[bool, typer.Option("--all", help="every version that is kept")] = False,
) -> None:
    """The reference lists in use: version, entries, where from and since when."""
    if context.invoked_subcommand is None:
        from ingest.reference.declared import sources
        from ingest.reference.refresh import known_outcome
        from ingest.reference.store import ListStore

        settings = Settings.from_env()
        store = ListStore.of(settings)
        looked = [known_outcome(source, store) for source in sources(settings).values()]
        _show(settings, [each for each in looked if each is not None], all_versions)


@app.command()
def refresh(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[LIST]...", help="some lists only", show_default=False)
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIST",
            help="take this list although it shrank or contradicts its examples",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look for newer lists now: fetch, validate, put in use. The last good one stays where that fails."""
    from ingest.lake import Lake
    from ingest.logs.listeners import KeyRing
    from ingest.logs.rules import Rules
    from ingest.reference.refresh import refresh as look

    settings = Settings.from_env()
    refreshed = look(settings, names or (), accept or ())
    rules, lake = Rules.load(settings), Lake(settings.lake_dir)
    rules.remember(settings, lake)
    rules.write_address_lists(lake, KeyRing.of(settings))
    _show(settings, refreshed, False)
    outcomes = {each.outcome for each in refreshed}
    if "refused" in outcomes or outcomes == {"unreachable"}:
        raise typer.Exit(FAILED)


def _is_local(settings: Settings, row: dict[str, object]) -> bool:
    return settings.reference_dir is not None and str(settings.reference_dir) in str(row["origin"])


def _show(settings: Settings, refreshed: Sequence[Refreshed], all_versions: bool) -> None:
    from earshot.show import plain, say
    from ingest.lake import utc_now_us
    from ingest.logs.rules import Rules
    from ingest.reference import overview
    from ingest.reference.store import ListStore

    rules = Rules.load(settings)
    frame = overview.listed(rules.lists.values(), refreshed, ListStore.of(settings), all_versions)
    table = Table(title=f"Rules version {rules.version}", title_justify="left")
    for column in _COLUMNS:
        justify: Literal["left", "right"] = "right" if column == "entries" else "left"
        # Only an origin may be folded where the terminal is narrow.
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column != "origin")
    for row in frame.iter_rows(named=True):
        table.add_row(
            *map(
                plain,
                (
                    row["list"],
                    row["version"],
                    "-" if row["entries"] is None else f"{row['entries']:,}",
                    row["origin"] or "-",
                    row["fetched_at"].strftime("%Y-%m-%d") if row["fetched_at"] else "-",
                    "yes" if row["in_use"] else "",
                ),
            )
        )
    Console().print(table)
    screen = Console(stderr=True)
    for each in refreshed:
        style = {"refused": "red", "unreachable": "yellow"}.get(each.outcome, "green")
        say(screen, f"{each.name} {each.outcome}", each.reason or each.source, style)
    if not refreshed:
        say(screen, "note", "nobody has looked for newer ones yet: `earshot lists refresh`", "yellow")
    now_us = utc_now_us()
    # What EARSHOT_REFERENCE_DIR holds is used as it is, however old the fetched one is.
    local = {row["list"] for row in frame.iter_rows(named=True) if row["in_use"] and _is_local(settings, row)}
    told = [
        overview.fresh([each for each in refreshed if each.name not in local], now_us),
        overview.inclusions_validated(
            rules.included_addresses, datetime.fromtimestamp(now_us / 1e6, UTC).date()
        ),
    ]
    for verdict in told:
        if not verdict.passed:
            say(screen, "note", verdict.message, "yellow")
