"""A page on a terminal: readable at 80 columns, and without colour."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from earshot.show import TABLE_ROWS, plain
from serving.attribution.blocks import Block, Grid, Items, Page, Picture, Sums
from serving.attribution.flags import OF_ALL
from serving.attribution.headline import in_short
from serving.attribution.model import Listed
from serving.attribution.numbers import day, listeners, money
from serving.attribution.terms import Estimate
from serving.attribution.totals import By, Total


def show_page(page: Page) -> None:
    """Print the page on standard output."""
    console = Console(highlight=False)
    console.print(_bold(page.title))
    for line in page.about:
        console.print(_line(line))
    console.print()
    console.print(_bold(" ".join(page.headline)))
    for section in page.sections:
        console.print()
        console.print(_bold(section.title) + Text(f" ({section.where})"))
        for block in section.blocks:
            _show(console, block)
    console.print()
    for line in page.foot:
        console.print(_line(line))


def show_list(found: Sequence[Listed]) -> None:
    """Print one row a collaboration."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("starts", no_wrap=True)
    for name in ("show", "with", "new listeners", "flags"):
        table.add_column(name, overflow="fold", min_width=13)
    for one in found[:TABLE_ROWS]:
        brought = in_short(one)
        own = [flag.replace("_", " ") for flag in one.flags if flag not in OF_ALL]
        table.add_row(
            str(one.collaboration_id),
            day(one.starts_at),
            _line(one.show),
            _line(one.partner),
            brought if brought != "-" else str(one.state).replace("_", " "),
            ", ".join([*(["declared void"] if one.is_void else []), *own]) or "-",
        )
    console = Console(highlight=False)
    console.print(table)
    if len(found) > TABLE_ROWS:
        console.print(f"… and {len(found) - TABLE_ROWS:,} more; --format csv prints all")
    of_all = [told for name, told in OF_ALL.items() if any(name in one.flags for one in found)]
    if of_all:
        console.print(f"Of all: {'; '.join(of_all)}.")
    console.print("How one comes about: `earshot attribution explain ID`")


def show_totals(found: Sequence[Total], by: By) -> None:
    """Print one row a show and partner, type or month."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("show", str(by), "new listeners"):
        table.add_column(name, overflow="fold", min_width=13)
    for name in ("of", "each", "gross"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found[:TABLE_ROWS]:
        each = one.cost_per_new_listener
        table.add_row(
            _line(one.show),
            _line(one.group.replace("_", " ") if by is By.TYPE else one.group),
            in_short(one),
            f"{one.collaborations:,}",
            "-" if each is None else money(each, one.currency or ""),
            "-" if one.gross is None else listeners(one.gross),
        )
    console = Console(highlight=False)
    console.print(table)
    if len(found) > TABLE_ROWS:
        console.print(f"… and {len(found) - TABLE_ROWS:,} more; --format csv prints all")
    console.print("of: collaborations; each: cost per new listener; gross: last touch, 30 days.")


_LISTED = (
    "collaboration_id", "show_id", "show", "partner", "type", "starts_at", "final_at", "state", "verdict",
    "new_listeners", "low", "high", "forecast", "forecast_low", "forecast_high", "at_most", "together_with",
    "together_new_listeners", "together_low", "together_high", "cost", "currency", "is_void", "flags",
)  # fmt: skip
_TOTALS = (
    "show_id", "show", "group", "collaborations", "provisional", "insufficient", "state", "verdict",
    "new_listeners", "low", "high", "at_most", "cost", "currency", "cost_per_new_listener", "gross",
)  # fmt: skip


def print_csv(found: Sequence[Listed] | Sequence[Total], is_total: bool = False) -> None:
    """All as CSV. Of one recorded twice new_listeners is its part, which has no interval of its own."""
    columns = _TOTALS if is_total else _LISTED
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_csv_row, found))


def _csv_row(one: Listed | Total) -> dict[str, Any]:
    row = vars(one) | _ends(one.estimate, "new_listeners", "") | _ends(one.forecast, "forecast", "forecast_")
    if isinstance(one, Listed):
        row["flags"] = "|".join(one.flags)
        row |= {name: f"{row[name].isoformat(timespec='seconds')}Z" for name in ("starts_at", "final_at")}
    if one.together is not None:
        row |= {"low": None, "high": None, "forecast_low": None, "forecast_high": None}
        row["together_with"] = "|".join(map(str, one.together.others))
        row |= _ends(one.together.estimate, "together_new_listeners", "together_")
    return row


def _ends(of: Estimate | None, value: str, prefix: str) -> dict[str, float | None]:
    names = (value, f"{prefix}low", f"{prefix}high")
    return dict.fromkeys(names) if of is None else dict(zip(names, (of.value, of.low, of.high), strict=True))


def _show(console: Console, block: Block) -> None:
    match block:
        case str():
            console.print(_line(block))
        case Sums(lines):
            table = _compact()
            table.add_column(overflow="fold")
            table.add_column(justify="right", no_wrap=True)
            table.add_column(no_wrap=True)
            for one in lines:
                table.add_row(_line(one.what), one.sum, f"step {int(one.step)}")
            console.print(table)
        case Grid(columns, rows, texts):
            table = _compact(show_header=True)
            for number, name in enumerate(columns):
                is_text = number < texts
                table.add_column(
                    name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
                )
            for row in rows:
                table.add_row(*map(_line, row))
            console.print(table)
        case Picture(lines):
            for line in lines:
                console.print(plain(line), no_wrap=True, crop=False, overflow="ignore")
        case Items(items):
            for name, text in items:
                console.print(_bold(f"{name}:") + Text(" ") + _line(text))


def _compact(show_header: bool = False) -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), show_header=show_header)


def _line(text: str) -> Text:
    """Text from outside, in one line."""
    return plain(" ".join(text.split()))


def _bold(text: str) -> Text:
    bold = _line(text)
    bold.stylize("bold")
    return bold
