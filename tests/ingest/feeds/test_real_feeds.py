"""Real feeds of others (EARSHOT_FEEDS_DIR): read twice they say the same, whole and as a delta too."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT
from tests.ingest.feeds.documents import parse

_NAMED = os.environ.get("EARSHOT_FEEDS_DIR")
# Beside the repository, or beside the folder of its worktrees.
_PLACES = [Path(_NAMED)] if _NAMED else [Path(__file__).parents[level] / "shared/feeds" for level in (4, 5)]
FEEDS = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
DOCUMENTS = sorted(path for path in FEEDS.glob("*") if path.suffix in (".rss", ".atom", ".xml"))
READABLE = [path for path in DOCUMENTS if path.name != "unrecognized.rss"]

pytestmark = pytest.mark.skipif(not DOCUMENTS, reason="no real feeds (EARSHOT_FEEDS_DIR)")


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name)
def test_a_feed_read_twice_says_the_same(path: Path) -> None:
    assert parse(path.read_bytes()) == parse(path.read_bytes())


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name)
def test_a_delta_says_what_the_whole_document_says(path: Path) -> None:
    body = path.read_bytes()
    whole = parse(body)
    unchanged = parse(body, known=whole)
    if unchanged.method == "delta":
        assert unchanged.items == []
        known = [one.item_hash for one in whole.items[3:]]
        delta = parse(body, known=type(whole)(**(vars(whole) | {"item_hashes": known})), audit=True)
        assert delta.audit is True  # also as a document in one piece, never cut
        assert delta.items == whole.items[:3]
        assert delta.content == whole.content
    else:
        assert unchanged == whole


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name)
def test_the_records_fit_the_frames(path: Path) -> None:
    parsed = parse(path.read_bytes())
    pl.DataFrame([parsed.content], schema=dict(PODCAST_CONTENT), strict=True)
    episodes = pl.DataFrame([one.content for one in parsed.items], schema=dict(EPISODE_CONTENT), strict=True)
    assert episodes.height == len(parsed.item_hashes) == len(set(parsed.item_hashes)) > 0


def test_most_of_them_are_cut_item_by_item() -> None:
    methods = [parse(body, known=parse(body)).method for body in (path.read_bytes() for path in READABLE)]
    assert methods.count("delta") >= 14


def test_an_error_page_is_told_as_one() -> None:
    with pytest.raises(FeedUnreadable) as caught:
        parse((FEEDS / "unrecognized.rss").read_bytes())
    assert caught.value.reason is Reason.HTML_PAGE
