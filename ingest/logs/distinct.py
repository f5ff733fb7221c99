"""Work on each distinct value of a column once. † Agents: 3,000 values stand for 160,000 rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from ingest.logs.coded import _cut, coded, is_compiled

MOST_TEXT = 64 * 2**20  # bytes


def map_distinct(values: pl.Series, function: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """`function` of each distinct value of `values`, brought back to every row; null stays null."""
    return coded(values).mapped(function).texts().alias(values.name)


@dataclass
class Remembered:
    """What was found out of texts, kept over segments and files.

    Bounded in number and in bytes, since they come from strangers: each may be as long as a line.
    """

    judge: Callable[[pl.Series], pl.DataFrame]  # distinct texts → one row each, the text under their name
    limit: int = 200_000
    most_text: int = MOST_TEXT
    _known: pl.DataFrame | None = field(default=None, repr=False)
    _numbering: _cut.Numbering | None = field(default=None, repr=False)  # of the rows of `_known`
    _text: int = field(default=0, repr=False)  # bytes of the texts known

    def rows(self, texts: pl.Series) -> pl.DataFrame:
        """What was found out of each text, without the text, row for row; nulls for null."""
        if is_compiled():
            return self._numbered(texts)
        distinct = coded(texts)
        known = self._with(distinct.values)
        found = distinct.values.to_frame().join(known, on=texts.name, how="left", maintain_order="left")
        return found.drop(texts.name).select(pl.all().gather(distinct.codes))

    def of(self, texts: pl.Series) -> pl.DataFrame:
        """One row a distinct text that is not null."""
        distinct = texts.drop_nulls().unique()
        return distinct.to_frame().hstack(self.rows(distinct))

    def _numbered(self, texts: pl.Series) -> pl.DataFrame:
        """† Numbers that stay need no join: a third of the cost of what is known of 650,000 addresses."""
        numbering, known, size = self._numbering, self._known, self._text
        self._numbering = self._known = None  # should what follows fail: numbers without rows would mislead
        if numbering is None or known is None:
            numbering, known, size = _cut.Numbering(), self.judge(texts.clear()).drop(texts.name), 0
        numbers, added = map(pl.Series, numbering.of(texts))
        if added.len():
            new = added.alias(texts.name)
            judged = new.to_frame().join(self.judge(new), on=texts.name, how="left", maintain_order="left")
            known = pl.concat([known, judged.drop(texts.name)], rechunk=True)
            size += _bytes_of(new)
        if known.height <= self.limit and size <= self.most_text:
            self._numbering, self._known, self._text = numbering, known, size
        return known.select(pl.all().gather(numbers))

    def _with(self, distinct: pl.Series) -> pl.DataFrame:
        """What is known, that of `distinct` among it."""
        if self._known is None:
            self._known = self.judge(distinct.clear())
        new = distinct.to_frame().join(self._known, on=distinct.name, how="anti").to_series()
        if not new.len():
            return self._known
        size = self._text + _bytes_of(new)
        if self._known.height + new.len() > self.limit or size > self.most_text:
            self._known, self._text, new, size = self._known.clear(), 0, distinct, _bytes_of(distinct)
        judged = pl.concat([self._known, self.judge(new)])
        if judged.height <= self.limit and size <= self.most_text:
            self._known, self._text = judged, size
        return judged


def _bytes_of(texts: pl.Series) -> int:
    return int(texts.str.len_bytes().sum())
