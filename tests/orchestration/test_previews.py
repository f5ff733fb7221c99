"""Tables as the UI shows them."""

from __future__ import annotations

import base64
import re
from datetime import date, datetime

import polars as pl
import pytest
from lxml import etree

from orchestration.charts import MOST_BARS, bars
from orchestration.previews import is_about_persons, markdown


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


@pytest.mark.parametrize(
    "text", ["![x](https://evil.example/p.png)", "[ok](javascript:alert(1))", "<img src=x>", "`a`", "**b**"]
)
def test_what_a_feed_says_is_no_markup(text: str) -> None:
    from markdown_it import MarkdownIt

    shown = (
        MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown(pl.DataFrame({"a": [text]})))
    )
    assert not re.search("<(img|a |code|strong)", shown)


def test_rows_about_one_listener_are_told_by_their_columns() -> None:
    for column in ("listener_key", "address_key_prev", "device_key", "former_listener_key"):
        assert is_about_persons(["date", column])
    assert not is_about_persons(["episode_key", "podcast_key", "listeners", "enclosure_key"])


def test_mail_addresses_of_owners_stay_in_the_mart() -> None:
    assert "@" not in markdown(pl.DataFrame({"show": ["a"], "owner_email": ["ann@example.com"]}))


def drawn(picture: str) -> etree._Element:
    found = re.fullmatch(r"!\[([^\]]*)\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", picture)
    assert found
    return etree.fromstring(base64.b64decode(found[2]))


def test_a_chart_has_one_bar_a_number_and_says_the_largest() -> None:
    picture = drawn(bars("downloads <a day>", [("1", 5), ("2", 0), ("3", 10)]))
    (path,) = picture.iterfind("{*}path")
    heights = [float(bar.split("v-")[1].split("h")[0]) for bar in path.get("d").split("M")[1:]]
    assert len(heights) == 2 and heights[0] == heights[1] / 2
    assert [text.text for text in picture.iterfind("{*}text")] == ["downloads <a day>: at most 10", "1", "3"]


def test_a_chart_of_years_stays_small_and_one_of_nothing_is_none() -> None:
    assert bars("nothing", []) == ""
    many = bars("many", [(str(n), n) for n in range(10_000)])
    assert len(many) < 8_000
    assert drawn(many).find("{*}path").get("d").count("M") == MOST_BARS  # type: ignore[union-attr]
    assert drawn(bars("none of it", [("1", 0)])).find("{*}path").get("d") == ""  # type: ignore[union-attr]
