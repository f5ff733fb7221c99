"""JSON, CSV or Parquet: which one a request asks for, and tables written in each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson
import polars as pl


class Format(StrEnum):
    """How a table is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_BY_TYPE = {
    "application/json": Format.JSON,
    "application/*": Format.JSON,
    "*/*": Format.JSON,
    "text/csv": Format.CSV,
    "text/*": Format.CSV,
    "application/vnd.apache.parquet": Format.PARQUET,
}
# A cell that begins so is run as a formula by spreadsheets.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")  # keys are written as text, and half of them are negative
_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z  # times of the marts are UTC without saying so


@lru_cache(maxsize=512)
def negotiated(accept: bytes) -> Format | None:
    """The format an Accept header prefers (RFC 9110 §12.5.1); None: it accepts none of ours."""
    if not accept.strip():
        return Format.JSON
    best: tuple[float, int, Format] | None = None
    for entry in accept.decode("latin-1").lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        found = _BY_TYPE.get(kind)
        quality = _quality(parameters)
        if found is None or quality <= 0:
            continue
        rank = (quality, 2 - kind.count("*"), found)  # the more precise wins over the wildcard
        if best is None or rank[:2] > best[:2]:
            best = rank
    return best[2] if best else None


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0
    return 1


@lru_cache(maxsize=512)
def unpacks_gzip(accept_encoding: bytes) -> bool:
    """Whether Accept-Encoding names gzip and does not refuse it (`gzip;q=0`, RFC 9110 §12.5.3)."""
    for entry in accept_encoding.decode("latin-1").lower().split(","):
        coding, *parameters = (part.strip() for part in entry.split(";"))
        if coding in ("gzip", "x-gzip"):
            return _quality(parameters) > 0
    return False


def to_json(value: object) -> bytes:
    return orjson.dumps(value, option=_OPTIONS)


def to_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """RFC 4180; text that a spreadsheet would run gets an apostrophe in front, numbers never do."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def to_parquet(columns: Sequence[str], rows: Sequence[Mapping[str, Any]] | pl.DataFrame) -> bytes:
    frame = rows if isinstance(rows, pl.DataFrame) else _frame(columns, rows)
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def _frame(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    return pl.DataFrame(rows, infer_schema_length=None).select(columns)


def _cell(value: object) -> object:
    if isinstance(value, str):
        runs = value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
        return f"'{value}" if runs else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return to_json(value).decode()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value
