"""Texts handed to the Parquet writer by number, so that it need not look for the distinct ones itself.

What lies in the file is the same: texts by a dictionary. Only the Arrow schema beside it, by which Polars
would read them back as enumerations, each file's of its own, is that of plain texts.
"""

from __future__ import annotations

import functools
import io

import polars as pl

from ingest.logs.coded import coded, is_compiled

_ARROW_SCHEMA = "ARROW:schema"  # where the writers of Arrow's libraries keep it


def numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame`, its texts as enumerations. † Writing requests costs half."""
    if not is_compiled():  # Polars' own way of numbering costs what it would save
        return frame
    return frame.with_columns(_numbered(each) for each in frame.iter_columns() if each.dtype == pl.String)


def _numbered(texts: pl.Series) -> pl.Series:
    if texts.null_count() == texts.len():
        return _repeated(texts, None)
    first = texts[0]
    if not texts.null_count() and first == texts[-1] and (texts == first).all():
        return _repeated(texts, first)
    found = coded(texts)
    return found.codes.cat.to(pl.Enum(found.values))


def _repeated(texts: pl.Series, value: str | None) -> pl.Series:
    """One value in all rows, as a file's own columns have it: nothing to look up."""
    dtype = pl.Enum([] if value is None else [value])
    return pl.Series(texts.name, [value], dtype).new_from_index(0, texts.len())


def plain_texts(frame: pl.DataFrame) -> dict[str, str]:
    """Metadata of a Parquet file of `frame`, by which its texts are read as such."""
    return {_ARROW_SCHEMA: _arrow_schema(tuple(frame.schema.items()))}


@functools.lru_cache(maxsize=16)
def _arrow_schema(columns: tuple[tuple[str, pl.DataType], ...]) -> str:
    empty = io.BytesIO()
    pl.DataFrame(schema=dict(columns)).write_parquet(empty)
    empty.seek(0)
    return pl.read_parquet_metadata(empty)[_ARROW_SCHEMA]
