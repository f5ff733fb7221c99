"""Whose requests are erased and stay so: a list of keys and times, never of addresses (docs/privacy.md).

    lake/suppressed.parquet    one row a key of an erasure

Cleaning leaves out what is on it, so that a file that is delivered again, read again or taken in on another
machine brings nothing back. A key alone tells nobody's address, least of all once its secret is destroyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ingest.lake import (
    SUPPRESSED_FILE,
    keep_twice,
    missing,
    read_twice_kept,
    twin_of,
    write_parquet,
)
from ingest.schema import Schema, conform

FILE = SUPPRESSED_FILE

SUPPRESSED: Schema = {
    "erasure": pl.String,  # 12 hex digits, of one request for erasure
    "key_epoch": pl.Int32,
    "address_key": pl.Int64,  # in that epoch; null: by installation
    "install_key": pl.Int64,  # of app_devices; null: by address
    "first_us": pl.Int64,  # requests and plays from here on …
    "end_us": pl.Int64,  # … and before this
}
_WHAT = ["key_epoch", "address_key", "install_key", "first_us", "end_us"]


@dataclass(frozen=True)
class Suppressions:
    """The list, columns of SUPPRESSED."""

    rows: pl.DataFrame

    @classmethod
    def none(cls) -> Suppressions:
        return cls(pl.DataFrame(schema=SUPPRESSED))

    @classmethod
    def load(cls, lake: Path) -> Suppressions:
        """That of the lake below this folder. Raises LakeDamaged: without it the erased would come back."""
        if (lake / FILE).exists() or Path(FILE) in missing(lake):
            return cls._of(read_twice_kept(lake, Path(FILE)), lake / FILE)
        return cls.none()

    @classmethod
    def read(cls, path: Path) -> Suppressions:
        """That of a file. Raises ValueError for a file that is none."""
        return cls._of(path.read_bytes(), path)

    @classmethod
    def _of(cls, content: bytes, path: Path) -> Suppressions:
        try:
            return cls(conform(pl.read_parquet(content), SUPPRESSED).collect())
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{path} is no suppression list: {type(error).__name__}") from error

    @property
    def erasures(self) -> int:
        return self.rows["erasure"].n_unique()

    def with_more(self, rows: pl.DataFrame) -> Suppressions:
        """This list and `rows` (SUPPRESSED); what is on it already is not put there twice."""
        both = pl.concat([self.rows, rows.select(list(SUPPRESSED)).cast(dict(SUPPRESSED))])  # type: ignore[arg-type]
        return Suppressions(both.unique(_WHAT, keep="first", maintain_order=True))

    def write(self, lake: Path) -> None:
        """Put it into the lake, atomically, readable by its owner alone. Raises OSError."""
        write_parquet(self.rows, lake / FILE)
        (lake / FILE).chmod(0o600)
        keep_twice(lake / FILE, lake / twin_of(Path(FILE)))

    def is_suppressed(self, rows: pl.DataFrame) -> pl.Series:
        """Boolean of each of `rows` (key_epoch, address_key, started_us; install_key if it has one)."""
        found = pl.Series("is_suppressed", [False]).new_from_index(0, rows.height)
        if self.rows.is_empty():
            return found
        for name in ("address_key", "install_key"):
            mine = self.rows.filter(pl.col(name).is_not_null())
            # Nearly always nobody is: told by one look at the keys.
            if name not in rows.columns or not rows[name].is_in(mine[name].unique().implode()).any():
                continue
            on = ["key_epoch", name] if name == "address_key" else [name]
            near = rows.select(*on, "started_us").with_row_index("row")
            hit = near.join(mine.select(*on, "first_us", "end_us"), on=on).filter(
                pl.col("started_us") >= pl.col("first_us"), pl.col("started_us") < pl.col("end_us")
            )["row"]
            found = found | pl.int_range(rows.height, eager=True).is_in(hit.unique().implode())
        return found.alias("is_suppressed")
