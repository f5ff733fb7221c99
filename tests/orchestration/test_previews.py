"""Tables as the UI shows them."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from orchestration.previews import markdown


def test_keys_never_reach_the_ui() -> None:
    frame = pl.DataFrame({"listener_key": [1], "address_key_prev": [2], "app": ["Overcast"]})
    assert markdown(frame) == "| app |\n|---|\n| Overcast |"


def test_cells_are_plain_text_that_cannot_break_the_table() -> None:
    frame = pl.DataFrame(
        {
            "n": [1234567],
            "text": ["a|b\nc"],
            "at": [datetime(2026, 1, 2, 3, 4, 5, 6)],
            "days": [[date(2026, 1, 2)]],
            "none": [None],
            "is": [True],
        }
    )
    assert (
        markdown(frame).splitlines()[2]
        == r"| 1,234,567 | a\|b c | 2026-01-02 03:04:05 | 2026-01-02 |  | yes |"
    )


def test_an_empty_frame_says_so() -> None:
    assert markdown(pl.DataFrame({"a": []})) == "_no rows_"


def test_long_text_is_cut() -> None:
    assert markdown(pl.DataFrame({"a": ["x" * 500]})).splitlines()[2] == "| " + "x" * 79 + "… |"
