"""Who sees what of a show: its owner all of it, others what it opened, without small cells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.settings import Settings
from registry import show_access
from registry.show_access import Subject
from serving.api.sessions import COOKIE, Session, issue
from tests.serving.api.published import publish_rows
from tests.serving.reporting.conftest import Asked, asked
from tests.serving.reports.made import marts, some_downloads

MARTS = (
    "dim_shows",
    "dim_episodes",
    "fct_downloads",
    "fct_show_daily",
    "fct_episode_daily",
    "fct_episode_hourly",
    "fct_show_dimensions_daily",
)
SHOWS = ("ann-show", "open-show", "shut-show")
# Every endpoint about one show, and of which subject it is.
PATHS = {
    "/shows/{show}/downloads": Subject.DOWNLOADS,
    "/shows/{show}/downloads?by=hour": Subject.DOWNLOADS,
    "/shows/{show}/downloads?by=day&dimension=app": Subject.AUDIENCE,
    "/shows/{show}/audience?dimension=app": Subject.AUDIENCE,
    "/shows/{show}/listeners": Subject.DOWNLOADS,
    "/shows/{show}/headlines": Subject.DOWNLOADS,
    "/shows/{show}/episodes": Subject.DOWNLOADS,
    "/shows/{show}/top-episodes": Subject.DOWNLOADS,
    "/shows/{show}/exclusions": Subject.DOWNLOADS,
    "/shows/{show}/pacing": Subject.PACING,
    "/shows/{show}/pacing-band": Subject.PACING,
    "/episodes/{show}/guid-0/downloads": Subject.DOWNLOADS,
    "/episodes/{show}/guid-0/downloads?dimension=app": Subject.AUDIENCE,
    "/episodes/{show}/guid-0/audience?dimension=app": Subject.AUDIENCE,
    "/episodes/{show}/guid-0/listeners": Subject.DOWNLOADS,
    "/episodes/{show}/guid-0/pacing": Subject.PACING,
    "/collaborations?show_id={show}": Subject.COLLABORATIONS,
    "/collaboration-totals?show_id={show}": Subject.COLLABORATIONS,
}
OWNERS_ONLY = ("/shows/{show}/reconciliation", "/shows/{show}/new-listener-sources")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Ann owns ann-show; open-show and shut-show are nobody's, and the downloads of open-show are open."""
    settings = Settings(data=tmp_path_factory.mktemp("access"))
    downloads = [
        {**row, "show_id": show, "episode_key": number * 10 + row["episode_key"]}
        for number, show in enumerate(SHOWS)
        for row in some_downloads(400, 60, seed=number)
    ]
    asks = marts(downloads)
    tables = {mart: asks.rows(f"select * from {mart}", {}) for mart in MARTS}
    tables["fct_show_listeners"] = [_listeners(show, count) for show in SHOWS for count in (9, 40)]
    publish_rows(settings.published_dir, tables)
    with asked(settings) as found:
        yield found


def _listeners(show: str, count: int) -> dict[str, Any]:
    day = "2026-10-19" if count == 9 else "2026-10-26"
    return {
        "period": "week",
        "period_start": day,
        "period_end": day.replace("19", "25") if count == 9 else "2026-11-01",
        "is_complete": True,
        "source_class": "server_log",
        "show_id": show,
        "listeners": count,
        "new_listeners": count,
        "returning_listeners": 0,
        "uncomparable_listeners": 0,
    }


@pytest.mark.parametrize("path", [*PATHS, *OWNERS_ONLY])
def test_a_show_is_seen_by_its_owner_and_looks_unknown_to_others(api: Asked, path: str) -> None:
    mine = path.format(show="ann-show")
    assert "ann-show" in str(api.get(mine, "ann")) or api.get(mine, "ann")["data"] == []
    api.get(mine, "operator")
    # Word for word as an unknown show, but for the id in the link.
    for who in ("bob", "nobody"):
        refused = api.get(mine, who, 404)
        unknown = api.get(path.format(show="no-such-show"), who, 404)
        assert refused == unknown


@pytest.mark.parametrize(("path", "subject"), PATHS.items())
def test_only_what_is_opened_is_open(api: Asked, path: str, subject: Subject) -> None:
    is_of_episode = path.startswith("/episodes")  # over time, told to its owner alone (decision 0028)
    opened = 422 if is_of_episode else 200
    api.get(path.format(show="open-show"), "nobody", opened if subject is Subject.DOWNLOADS else 404)
    api.get(path.format(show="shut-show"), "nobody", 404)


def test_outsiders_get_no_small_cells(api: Asked) -> None:
    hours = api.rows("/shows/open-show/downloads", "bob", by="hour")
    assert hours and all(row["suppressed"] and row["downloads"] is None for row in hours)
    weeks = api.rows("/shows/open-show/listeners", "bob", **{"from": "2026-10-19"})
    assert [(row["listeners"], row["suppressed"]) for row in weeks] == [(None, True), (40, False)]
    assert all("new_listeners" not in row for row in weeks)  # its audience is not opened
    mine = api.rows("/shows/ann-show/listeners", "ann", **{"from": "2026-10-19"})
    assert [(row["listeners"], row["new_listeners"]) for row in mine] == [(9, 9), (40, 40)]
    csv = api.client.get("/v1/shows/open-show/downloads?by=hour&format=csv").text
    assert csv.splitlines()[0].endswith(",suppressed") and ",true" in csv.splitlines()[1]
    assert "listener_key" not in csv


def test_an_answer_from_memory_is_not_another_readers(api: Asked) -> None:
    path = "/shows/open-show/downloads"
    owner = api.rows(path, "operator", by="hour")
    assert api.rows(path, "bob", by="hour") != owner
    assert api.rows(path, "operator", by="hour") == owner


def test_outsiders_are_told_no_addresses_of_files_and_no_counts_of_sources(api: Asked) -> None:
    assert "enclosure_url" not in api.rows("/shows/open-show/episodes", "bob")[0]
    assert "enclosure_url" in api.rows("/shows/ann-show/episodes", "ann")[0]
    core = api.client.app.state.core  # type: ignore[attr-defined]
    session = Session(time.time_ns() // 1000 + 3_600_000_000, tenant="ann", show_id="ann-show")
    link = {"cookie": f"{COOKIE}={issue(core.secret, session)}"}
    by_link = api.client.get("/v1/shows/ann-show/episodes", headers=link)
    assert by_link.status_code == 200 and "enclosure_url" not in by_link.text
    assert "downloads" not in api.get("/shows/open-show", "bob")["source_classes"][0]
    assert api.get("/shows/open-show", "bob")["subjects"] == ["downloads"]
    assert api.get("/shows/ann-show", "ann")["subjects"] == [*Subject]


def test_sums_over_shows_need_a_key_and_hold_the_callers_own(api: Asked) -> None:
    for path in ("/overview/downloads", "/overview/top-shows", "/top-episodes"):
        api.get(path, "nobody", 401)
        assert api.rows(path, "bob") == []
        assert api.rows(path, "ann")
    assert {row["show_id"] for row in api.rows("/top-episodes", "ann")} == {"ann-show"}
    assert {row["show_id"] for row in api.rows("/overview/top-shows", "operator")} == {*SHOWS}


def test_episodes_come_page_by_page(api: Asked) -> None:
    first = api.get("/shows/ann-show/episodes", "ann", limit=2)
    rest = api.get("/shows/ann-show/episodes", "ann", limit=2, cursor=first["next"])
    assert len(first["data"]) == 2 and rest["next"] is None
    names = [row["episode_id"] for row in first["data"] + rest["data"]]
    assert sorted(names) == ["guid-0", "guid-1", "guid-2"]


def test_a_show_without_any_data_is_told_as_such(
    api: Asked, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(data=tmp_path_factory.mktemp("empty"))
    publish_rows(settings.published_dir, {"dim_shows": [{"show_id": "new", "episodes": 0}]})

    with asked(settings) as empty:
        for path in [*PATHS, *OWNERS_ONLY]:
            if path.startswith("/episodes"):
                empty.get(path.format(show="new"), "ann", 404)
                continue
            told = empty.get(path.format(show="new"), "ann")
            rows = told["data"]
            if "headlines" in path:
                assert (rows[0]["last_date"], rows[0]["downloads_all"], rows[0]["listeners_7"]) == (
                    None,
                    0,
                    None,
                )
            else:
                assert rows == []
        for path in ("/overview/downloads", "/overview/top-shows", "/top-episodes"):
            assert empty.rows(path) == []
        assert empty.get("/shows/new", "ann")["source_classes"] == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/shows/ann-show/downloads?from=2026-13-01", "from"),
        ("/shows/ann-show/downloads?from=20261001", "from"),
        ("/shows/ann-show/downloads?from=2026-10-02&to=2026-10-01", "from"),
        ("/shows/ann-show/downloads?from=2016-01-01&to=2026-01-01", "from"),
        ("/shows/ann-show/downloads?by=year", "by"),
        ("/shows/ann-show/downloads?time_zone=Mars/X", "time_zone"),
        ("/shows/ann-show/downloads?by=day&time_zone=Asia/Tokyo&dimension=app", "time_zone"),
        ("/shows/ann-show/downloads?source_class=both", "source_class"),
        ("/shows/ann-show/downloads?window=hourly", "window"),
        ("/shows/ann-show/downloads?values=0", "values"),
        ("/shows/ann-show/audience?dimension=", "dimension"),
        ("/shows/ann-show/audience?dimension=listener_key", "dimension"),
        ("/shows/ann-show/listeners?period=year", "period"),
        ("/shows/ann-show/exclusions?by=hour", "by"),
        ("/shows/ann-show/pacing?most=1000000", "most"),
        ("/collaboration-totals?by=show", "by"),
        ("/collaborations/nine", "collaboration_id"),
        ("/collaborations/99999999999999999999999", "collaboration_id"),
        ("/methodology?format=pdf", "format"),
    ],
)
def test_bad_input_names_the_field(api: Asked, path: str, field: str) -> None:
    problem = api.get(path, "ann", 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["errors"][0]["reason"]


@pytest.mark.parametrize("text", ["' or 1=1 --", "%00", "../../etc/passwd", "$show", "\U0001f600" * 50])
def test_no_text_is_more_than_a_text(api: Asked, text: str) -> None:
    from urllib.parse import quote

    name = quote(text, safe="")
    for path in (f"/shows/{name}/downloads", f"/episodes/ann-show/{name}/downloads"):
        assert api.get(path, "ann", 404)["status"] == 404
    assert api.get("/collaborations", "ann", 404, show_id=text)["status"] == 404
    assert (
        api.get("/shows/ann-show/downloads", "ann", 422, time_zone=text)["errors"][0]["field"] == "time_zone"
    )


def test_what_a_show_opens_later_is_seen_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(data=tmp_path_factory.mktemp("later"))
    publish_rows(settings.published_dir, {"dim_shows": [{"show_id": "a", "episodes": 0}]})
    with asked(settings) as api:
        core = api.client.app.state.core  # type: ignore[attr-defined]
        api.get("/shows/a/pacing", "bob", 404)
        show_access.open_to_all(core.engine, 1, ["a"], [Subject.PACING])
        core.refresh()
        api.get("/shows/a/pacing", "bob")
        api.get("/shows/a/downloads", "bob", 404)
