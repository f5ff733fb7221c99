"""Frames as the Markdown tables the UI shows. Keys, addresses and rows about one person never go there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

import polars as pl

_HIDDEN = ("_key", "_key_prev", "email")
_PERSON = ("listener_key", "address_key", "device_key")  # also below a longer name, or of the epoch before
_CELL = 80  # characters
# A feed's title is anybody's words: no picture of theirs is loaded, no link of theirs says another thing.
_MARKUP = re.compile(r"([\\`*\[\]<>!|])")
ONE_PERSON_A_ROW = "_a row is about one listener: not shown here, nor anywhere but in the warehouse_"


def is_about_persons(columns: Iterable[str]) -> bool:
    """Whether the rows of a table with these columns are those of single listeners, addresses or devices."""
    return any(name.removesuffix("_prev").endswith(_PERSON) for name in columns)


def markdown(frame: pl.DataFrame, rows: int = 10) -> str:
    """The first `rows` rows of `frame` as a Markdown table, without its key columns."""
    shown = frame.select([name for name in frame.columns if not name.endswith(_HIDDEN)]).head(rows)
    if shown.is_empty():
        return "_no rows_"
    kinds = shown.schema.values()
    lines = [
        "| " + " | ".join(shown.columns) + " |",
        "|" + "|".join("---:" if kind.is_numeric() else "---" for kind in kinds) + "|",
        *("| " + " | ".join(_cell(value) for value in row) + " |" for row in shown.iter_rows()),
    ]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return _cell(", ".join(_cell(item) for item in value))
    text = " ".join(str(value).split())
    text = text if len(text) <= _CELL else text[: _CELL - 1] + "…"
    return _MARKUP.sub(r"\\\1", text)
