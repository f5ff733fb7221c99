"""Work on each distinct value of a column once. † Agents: 3,000 values stand for 160,000 rows."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl


def map_distinct(values: pl.Series, function: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """`function` of each distinct value of `values`, brought back to every row; null stays null."""
    distinct = values.drop_nulls().unique()
    if not distinct.len():
        return values
    table = pl.DataFrame({"value": distinct, "result": function(distinct)})
    rows = values.to_frame("value").join(table, on="value", how="left", maintain_order="left")
    return rows["result"].alias(values.name)
