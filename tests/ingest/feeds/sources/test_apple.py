"""Apple's lookup: many ids a call, and every difference between question and answer told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingest.feeds.sources.apple import Apple, Lookup, Mismatch, compared
from ingest.feeds.sources.budget import Limits
from ingest.feeds.sources.calls import Calls, SourceReason, SourceUnavailable
from ingest.feeds.sources.values import Ids
from tests.ingest.feeds.sources.server import Asked, Page, Server, json_page, run


def result(number: int, **more: Any) -> dict[str, Any]:
    return {
        "wrapperType": "track",
        "kind": "podcast",
        "collectionId": number,
        "trackId": number,
        "collectionName": f"Show {number}",
        "feedUrl": f"https://f.example/{number}",
        **more,
    }


def lookup(asked: Asked) -> Page:
    numbers = [int(text) for text in asked.query["id"].split(",")]
    return json_page({"resultCount": len(numbers), "results": [result(number) for number in numbers]})


def test_ids_are_asked_in_batches_each_once(tmp_path: Path, server: Server) -> None:
    server.pages["/lookup"] = lookup

    async def use(calls: Calls) -> list[Lookup]:
        apple = Apple(calls, server.url + "/lookup", "DE", batch=2)
        return [one async for one in apple.lookup([1, 2, 1, 3])]

    found = run(tmp_path, use)
    assert [ids.itunes_id for one in found for ids in one.ids] == [1, 2, 3]
    assert found[0].ids[0] == Ids("source", "https://f.example/1", itunes_id=1, title="Show 1")
    assert [asked.query for asked in server.asked] == [
        {"id": "1,2", "entity": "podcast", "country": "DE"},
        {"id": "3", "entity": "podcast", "country": "DE"},
    ]


def test_batches_before_the_end_of_the_budget_hold(tmp_path: Path, server: Server) -> None:
    server.pages["/lookup"] = lookup
    found: list[int | None] = []

    async def use(calls: Calls) -> None:
        async for one in Apple(calls, server.url + "/lookup", batch=1).lookup([1, 2, 3]):
            found.extend(ids.itunes_id for ids in one.ids)

    with pytest.raises(SourceUnavailable) as raised:
        run(tmp_path, use, limits=Limits(2, 100))
    assert found == [1, 2] and raised.value.reason == SourceReason.OUT_OF_BUDGET


def test_every_difference_between_question_and_answer_is_told() -> None:
    results: list[object] = [
        result(1),
        result(1, feedUrl="https://other.example/"),
        result(9),
        result(2, kind="song"),
        result(3, feedUrl=None),
        result(4, feedUrl="ftp://f.example/"),
        {"wrapperType": "artist", "artistId": 5},
        "junk",
        None,
    ]
    found = compared([1, 2, 3, 4, 5], results, "apple")
    assert [ids.feed_url for ids in found.ids] == ["https://f.example/1"]
    assert found.mismatches == [
        (1, Mismatch.TWICE),
        (9, Mismatch.NOT_ASKED),
        (2, Mismatch.NOT_A_PODCAST),
        (3, Mismatch.NO_FEED_URL),
        (4, Mismatch.BAD_FEED_URL),
        (5, Mismatch.MISSING),
    ]
