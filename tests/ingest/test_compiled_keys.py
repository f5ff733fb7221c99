"""Keys, order and numbers of texts by the compiled module are those of Polars."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.lake import write_parquet
from ingest.logs.coded import PURE, _cut, is_compiled
from ingest.logs.listeners import in_order, mixed, mixed_columns
from ingest.numbered import numbered, plain_texts

INT64 = st.integers(-(2**63), 2**63 - 1)
FEW = st.sampled_from([-(2**63), -1, 0, 1, 2**62, 2**63 - 1])
compiled = pytest.mark.skipif(not is_compiled(), reason="the compiled module was not built here")


def columns(rows: list[tuple[int, ...]], width: int) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={f"c{i}": pl.Int64 for i in range(width)}, orient="row")


@compiled
@given(st.lists(st.tuples(INT64, INT64, INT64), max_size=50))
def test_keys_are_mixed_as_polars_mixes_them(rows: list[tuple[int, ...]]) -> None:
    frame = columns(rows, 3)
    wanted = frame.select(mixed(*map(pl.col, frame.columns))).to_series()
    assert mixed_columns(*frame.get_columns()).to_list() == wanted.to_list()


@compiled
@given(st.lists(st.tuples(FEW | INT64, FEW, FEW | INT64), max_size=300))
def test_rows_come_in_the_order_of_polars_and_rows_that_are_alike_as_they_came(
    rows: list[tuple[int, ...]],
) -> None:
    frame = columns(rows, 3).with_row_index("came")
    by = ["c0", "c1", "c2"]
    assert in_order(frame, by).equals(frame.sort(by, maintain_order=True))


def test_without_the_compiled_module_both_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = columns([((i * 7919 % 11 - 5) << 40, i * 104729 % 13) for i in range(500)], 2).with_row_index(
        "came"
    )
    here = in_order(frame, ["c0", "c1"]), mixed_columns(frame["c0"], frame["c1"]).to_list()
    monkeypatch.setenv(PURE, "1")
    pure = in_order(frame, ["c0", "c1"]), mixed_columns(frame["c0"], frame["c1"]).to_list()
    assert here[0].equals(pure[0]) and here[1] == pure[1]
    assert len(set(pure[1])) > 100


@compiled
def test_the_module_takes_whole_numbers_alone_none_absent_and_columns_of_one_length() -> None:
    whole = pl.Series([1, 2, 3])
    for others in (
        pl.Series([1.0, 2.0, 3.0]),
        pl.Series([1, None, 3]),
        pl.Series([1, 2]),
        pl.Series(["a", "b", "c"]),
    ):
        for function in (_cut.mixed, _cut.order):
            with pytest.raises(ValueError, match="whole numbers"):
                function([whole, others])
    with pytest.raises(ValueError, match="whole numbers"):
        _cut.order([whole] * 9)


TEXTS = pl.DataFrame(
    {
        "few": ["b", "a", None, "b", "b"],
        "none": pl.Series([None] * 5, dtype=pl.String),
        "one": ["all alike"] * 5,
        "ends": [None, "x", "x", "y", None],
        "same": ["x", "y", None, "z", "x"],
        "odd": ["", "ä\0", "x" * 300, None, "twelve bytes"],
        "number": [3, None, 1, 2, 5],
    }
)


@pytest.mark.parametrize("rows", [5, 0], ids=["rows", "no rows"])
def test_numbered_texts_lie_in_the_file_as_texts(rows: int, tmp_path: Path) -> None:
    texts, path = TEXTS.head(rows), tmp_path / "texts.parquet"
    write_parquet(numbered(texts), path, metadata=plain_texts(texts))
    found = pl.read_parquet(path)
    assert found.schema == texts.schema and found.equals(texts)
    assert pl.scan_parquet([path, path]).collect().height == 2 * rows
    with duckdb.connect() as con:
        assert (
            con.execute(f"select few, none, one, ends, same, odd, number from '{path}'").fetchall()
            == texts.rows()
        )
        least = con.execute(
            f"select stats_min_value, stats_max_value from parquet_metadata('{path}')"
            " where path_in_schema = 'few'"
        ).fetchall()
    assert least == ([("a", "b")] if rows else least)


@compiled
def test_a_file_holds_no_text_of_other_rows(tmp_path: Path) -> None:
    """Of a frame that was cut out of a larger one: another listener's text has no business there."""
    path = tmp_path / "texts.parquet"
    part = pl.DataFrame({"text": ["kept", "of somebody else", "kept"]}).filter(pl.col("text") == "kept")
    write_parquet(numbered(part), path, metadata=plain_texts(part))
    assert numbered(part)["text"].dtype == pl.Enum(["kept"])
    assert b"somebody" not in path.read_bytes()
