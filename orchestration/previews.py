"""Frames as the Markdown tables the UI shows. Keys and addresses never go there."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

_HIDDEN = ("_key", "_key_prev")
_CELL = 80  # characters


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
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
