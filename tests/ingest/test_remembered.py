"""What was found out of a text is found again, in the compiled way and by Polars alone."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.logs.coded import PURE, _cut, is_compiled
from ingest.logs.distinct import Remembered

TEXTS = st.lists(
    st.none()
    | st.sampled_from(["", "a", "é" * 9, "twelve bytes", "thirteen byte", "x" * 300])
    | st.text(max_size=3)
)


def lengths(distinct: pl.Series) -> pl.DataFrame:
    """Of each text, in another order: what is told must not depend on it."""
    return distinct.to_frame().with_columns(pl.col("t").str.len_bytes().alias("size")).reverse()


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "pure"])
@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(0, 6))
def test_each_row_gets_what_was_found_out_of_its_text(
    pure: str, columns: list[list[str | None]], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PURE, pure)
        asked: list[str | None] = []

        def judge(distinct: pl.Series) -> pl.DataFrame:
            asked.extend(distinct)
            return lengths(distinct)

        known, forgets = Remembered(judge, limit), Remembered(judge, 10**6)
        for texts in columns:
            series = pl.Series("t", texts, dtype=pl.String)
            wanted = [None if text is None else len(text.encode()) for text in texts]
            assert known.rows(series)["size"].to_list() == wanted
            assert known.rows(series).columns == ["size"]
        asked.clear()
        for texts in columns + columns:
            forgets.rows(pl.Series("t", texts, dtype=pl.String))
        assert len(asked) == len(set(asked)) and None not in asked, "each text is judged once"
        found = forgets.of(pl.Series("t", columns[0], dtype=pl.String))
        assert dict(found.rows()) == {t: len(t.encode()) for t in columns[0] if t is not None}


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "pure"])
def test_what_could_not_be_judged_misleads_nobody_later(pure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PURE, pure)

    def judge(distinct: pl.Series) -> pl.DataFrame:
        if "bad" in distinct:
            raise ValueError("not this one")
        return lengths(distinct)

    known = Remembered(judge)
    known.rows(pl.Series("t", ["a", "bb"]))
    with pytest.raises(ValueError, match="not this one"):
        known.rows(pl.Series("t", ["ccc", "bad", "dddd"]))
    assert known.rows(pl.Series("t", ["dddd", "a", "eeeee", None]))["size"].to_list() == [4, 1, 5, None]


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "pure"])
def test_few_long_texts_are_as_much_as_many_short_ones(pure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers send texts as long as a line may be: 200,000 of them were 12 GB."""
    monkeypatch.setenv(PURE, pure)
    asked: list[str] = []

    def judge(distinct: pl.Series) -> pl.DataFrame:
        asked.extend(distinct)
        return lengths(distinct)

    known = Remembered(judge, most_text=1_000)
    texts = [letter * 300 for letter in "abcdef"]
    for text in texts:
        assert known.rows(pl.Series("t", [text, None, "short"]))["size"].to_list() == [300, None, 5]
    assert [asked.count(text) for text in texts] == [1] * 6 and asked.count("short") == 2
    assert known.rows(pl.Series("t", texts))["size"].to_list() == [300] * 6, "more than is kept"
    asked.clear()
    assert known.rows(pl.Series("t", texts[:2]))["size"].to_list() == [300, 300]
    assert sorted(asked) == texts[:2], "they were forgotten, and are known again"
    known.rows(pl.Series("t", texts[:2]))
    assert sorted(asked) == texts[:2]


@pytest.mark.skipif(not is_compiled(), reason="the compiled module was not built here")
@given(st.lists(TEXTS, max_size=8))
def test_numbers_stay_over_columns_chunks_and_slices(columns: list[list[str | None]]) -> None:
    numbering, known = _cut.Numbering(), list[str]()
    for texts in columns:
        series = pl.Series(texts, dtype=pl.String)
        series = pl.concat([series, series.slice(1, 2), series.gather_every(2)], rechunk=False)
        numbers, added = map(pl.Series, numbering.of(series))
        known += added.to_list()
        assert [None if number is None else known[number] for number in numbers] == series.to_list()
    assert len(known) == len(set(known))


@pytest.mark.skipif(not is_compiled(), reason="the compiled module was not built here")
def test_a_numbering_takes_texts_alone_and_goes_on_after_others() -> None:
    numbering = _cut.Numbering()
    with pytest.raises(TypeError):
        _cut.Numbering(1)  # type: ignore[call-arg]
    for other in (pl.Series([1, 2]), pl.Series([b"x"])):
        with pytest.raises(TypeError, match="texts"):
            numbering.of(other)
    numbers, added = map(pl.Series, numbering.of(pl.Series(["x", None, "y", "x"])))
    assert numbers.to_list() == [0, None, 1, 0] and added.to_list() == ["x", "y"]
