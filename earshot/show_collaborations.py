"""How answers about collaborations look: a list, and all of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot.show import TABLE_ROWS, plain, print_rows
from earshot.times import shown
from registry.collaborating import Aired
from registry.collaboration_days import EXPOSURE_DAYS
from registry.collaboration_doubles import measured_until_us
from registry.collaborations import Collaboration

_LISTED = ("id", "type", "show", "partner", "episode", "starts", "ends", "cost", "state")
_TITLES = ("show_title", "partner_title")
_WHOLE = ("id", "starts", "ends", "state", "cost")  # columns that are not folded


def described(each: Collaboration, titles: Mapping[int, str]) -> dict[str, Any]:
    """All of a collaboration; keys as text: JavaScript's numbers are too small for them.

    titles: podcast_key → what its feed calls it.
    """
    return {
        "id": each.collaboration_id,
        "tenant": each.tenant,
        "type": str(each.type),
        "show": each.feed_url,
        "show_title": titles.get(each.podcast_key),
        "show_key": str(each.podcast_key),
        "partner": each.partner_url,
        "partner_title": titles.get(each.partner_key),
        "partner_key": str(each.partner_key),
        "episode": each.partner_guid,
        "inserted": shown(each.inserted_us),
        "starts": shown(each.starts_us),
        "ends": shown(each.ends_us),
        "measured_until": shown(measured_until_us(each)),
        "cost": each.cost,
        "currency": each.currency,
        "notes": each.notes,
        "state": str(each.state),
        "ended": shown(each.ended_us),
        "created": shown(each.created_us),
    }


def show_added(row: dict[str, Any], output: str) -> None:
    """One that was recorded, with what that did."""
    if output == "table":
        _show_one(_named(row), ("id", "outcome", *_LISTED[1:-2], "measured", "cost"))
    else:
        print_rows([row], list(row), output)


def show_details(row: dict[str, Any], episode: Aired | None, output: str) -> None:
    """All of one; `episode`: what the lake knows of the partner's, if anything."""
    row |= {
        "episode_title": None if episode is None else episode.title,
        "episode_aired": None if episode is None else shown(episode.published_us),
    }
    if output == "table":
        named = _named(row)
        _show_one(named, [name for name in named if name not in ("measured_until", *_TITLES)])
    else:
        print_rows([row], list(row), output)


def show_collaborations(found: Sequence[Collaboration], titles: Mapping[int, str], output: str) -> None:
    """A row a collaboration; in a table the short of it."""
    rows = [described(each, titles) for each in found]
    if output != "table":
        print_rows(rows, list(rows[0]) if rows else list(_LISTED), output)
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in _LISTED:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for each, row in zip(found[:TABLE_ROWS], rows, strict=False):
        row |= {"starts": _day(each.starts_us), "ends": _last_day(each), "type": each.type.replace("_", " ")}
        row |= {name: row[f"{name}_title"] or _short(row[name]) for name in ("show", "partner")}
        table.add_row(*(plain(_cell(row, column)) for column in _LISTED))
    console = Console()
    console.print(table)
    if len(rows) > TABLE_ROWS:
        console.print(f"… and {len(rows) - TABLE_ROWS:,} more; --output csv prints all")


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """With titles before URLs, and how long it is measured."""
    until = row["measured_until"]
    is_cut = until not in (row["ends"], row["ended"])
    days = f"the first {EXPOSURE_DAYS} days" if is_cut else "all of it"
    shows = {
        name: f"{row[f'{name}_title']} ({row[name]})"
        for name in ("show", "partner")
        if row[f"{name}_title"] is not None
    }
    return row | shows | {"measured": f"{days}, until {until}"}


def _short(url: str) -> str:
    """A URL where no title is known."""
    return url.removeprefix("https://").removeprefix("http://")


def _show_one(row: dict[str, Any], columns: Iterable[str]) -> None:
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for column in columns:
        if column != "currency" and row[column] is not None:
            table.add_row(plain(column.replace("_", " ")), plain(_cell(row, column)))
    Console().print(table)


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return "-"
    return f"{value:,.2f} {row['currency']}" if column == "cost" else str(value)


def _last_day(each: Collaboration) -> str | None:
    """The last one of its exposure, UTC; ends are exclusive. None: open."""
    ends = [at for at in (each.ends_us, each.ended_us) if at is not None]
    return _day(min(ends) - 1) if ends else None


def _day(at_us: int) -> str:
    return shown(at_us).partition("T")[0]
