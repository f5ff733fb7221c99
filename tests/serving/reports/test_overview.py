"""All shows of a tenant together, under one source class."""

from __future__ import annotations

import pytest

from ingest.schema import SourceClass
from serving.reports.asking import Report
from serving.reports.overview import Together, by_period, top_episodes, top_shows
from serving.reports.shows import Shows
from tests.serving.reports.made import BASIS, START, a_download, marts


@pytest.mark.parametrize("ask", [by_period, top_shows, top_episodes])
def test_sums_over_shows_say_which_they_leave_out(ask: type[Report]) -> None:
    seen = {"logged": ("server_log",), "both": ("server_log", "prefix"), "prefixed": ("prefix",)}
    asks = marts(
        [
            {**a_download(START, 1, place, show), "source_class": name}
            for place, (show, classes) in enumerate(seen.items())
            for name in classes
        ]
    )
    shows = Shows.load(asks)
    every = ask(Together(shows, BASIS, None)).about["notes"]  # type: ignore[arg-type, call-arg]
    assert every == ["left out: 1 show that prefix alone has seen; ask with source_class=prefix"]
    assert ask(Together(shows, BASIS, ["logged"])).about["notes"] == []  # type: ignore[arg-type, call-arg]
    together = Together(shows, BASIS, None, SourceClass.PREFIX)
    assert {row["show_id"] for row in top_shows(together).rows(asks)} == {"both", "prefixed"}
    assert top_shows(together).about["notes"] == [
        "left out: 1 show that server_log alone has seen; ask with source_class=server_log"
    ]
