"""What the pages say is what the marts, and the API, say."""

from __future__ import annotations

import os
import re
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

import duckdb
import pytest
from lxml import html
from starlette.testclient import TestClient

from serving.pages.view import episodes
from tests.serving.pages import world
from tests.serving.pages.reading import figures, number, read, rows, section, words

OF_SHOW = (
    "downloads",
    "pacing",
    "episodes",
    "listeners",
    "apps",
    "collaborations",
    "exclusions",
    "two-sources",
)

EPISODE = f"/episodes/{world.episode_key(world.OWN, 3)}"


@pytest.fixture(scope="module")
def marts(made: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(os.path.realpath(made / "published/current/marts.duckdb"), read_only=True)


def one(marts: duckdb.DuckDBPyConnection, sql: str) -> Any:
    return marts.execute(sql).fetchall()[0][0]


def test_a_show_tells_the_downloads_and_listeners_of_its_days(
    client: TestClient, keys: dict[str, str], marts: duckdb.DuckDBPyConnection
) -> None:
    here = f"from fct_downloads where show_id = '{world.OWN}' and source_class = 'server_log'"
    told = figures(read(client, f"/shows/{world.OWN}?days=28", keys["ann"]))
    of_days = f"{here} and date between '2026-08-07' and '2026-09-03'"
    assert number(told["Downloads in 28 days"]) == one(marts, f"select count(*) {of_days}")
    assert number(told["Listeners in 28 days"]) == one(
        marts, f"select count(distinct listener_key) {of_days}"
    )
    # The middle of the first weeks of 19 episodes.
    assert number(told["A typical episode's first 7 days"]) == round(
        one(
            marts,
            f"""select median(n) from (
                select count(*) as n from fct_downloads join dim_episodes using (episode_key)
                where source_class = 'server_log' and fct_downloads.show_id = '{world.OWN}'
                    and first_request_at < published_at + interval 7 days
                    and published_at + interval 7 days < timestamp '{world.LAST_DAY} 12:00'
                group by episode_key)""",
        )
    )


def test_pages_and_api_tell_the_same(client: TestClient, keys: dict[str, str]) -> None:
    page = read(client, f"/shows/{world.OWN}?days=28", keys["ann"])
    header = {"authorization": f"Bearer {keys['ann']}"}
    days = "from=2026-08-07&to=2026-09-03"
    api = client.get(f"/v1/shows/{world.OWN}/downloads?by=day&{days}", headers=header).json()["data"]
    by_day = [number(row[1]) for row in rows(section(page, "downloads")) if row[1] != "0"]
    assert by_day == [row["downloads"] for row in reversed(api)]
    assert number(figures(page)["Downloads in 28 days"]) == sum(row["downloads"] for row in api)
    left_out = client.get(f"/v1/shows/{world.OWN}/exclusions?{days}", headers=header).json()["data"]
    assert [number(row[2]) for row in rows(section(page, "exclusions"))] == [
        row["requests"] for row in left_out if row["is_excluded"]
    ]


def test_a_source_class_is_chosen_and_never_added(client: TestClient, keys: dict[str, str]) -> None:
    logs = read(client, f"/shows/{world.OWN}?days=28", keys["ann"])
    prefix = read(client, f"/shows/{world.OWN}?days=28&source_class=prefix", keys["ann"])
    assert "Counted from server logs" in words(logs) and "Counted from the prefix" in words(prefix)
    assert "Downloads in 8 days" in figures(prefix)  # 26 August to 2 September, its last whole day
    lead = words(section(logs, "two-sources").cssselect("p.lead")[0])
    assert "From 26 Aug to 3 Sep 2026, the prefix counts" in lead and "They agree on every day." in lead


def test_every_choice_keeps_the_others(client: TestClient, keys: dict[str, str]) -> None:
    """The prefix saw eight days: they are not taken for a choice of eight."""
    asked = {"days": "28", "source_class": "prefix", "window": "first_touch"}
    for path, names in ((f"/shows/{world.OWN}", asked.keys()), (EPISODE, ("source_class", "window"))):
        page = read(client, f"{path}?{urlencode({name: asked[name] for name in names})}", keys["ann"])
        groups = page.cssselect(".choices nav")
        assert [len(group.cssselect("[aria-current]")) for group in groups] == [1] * len(names)
        for group, changed in zip(groups, names, strict=True):
            for link in group.cssselect("a"):
                kept = dict(parse_qsl(urlsplit(link.get("href")).query))
                kept.pop(changed, None)
                assert kept == {name: asked[name] for name in names if name != changed}
    onward = page.cssselect("p.about a")[0].get("href")
    assert parse_qsl(urlsplit(onward).query) == [("source_class", "prefix"), ("window", "first_touch")]


def test_another_window_is_an_alternative_and_what_it_lacks_is_said(
    client: TestClient, keys: dict[str, str], marts: duckdb.DuckDBPyConnection
) -> None:
    here = f"from fct_downloads where show_id = '{world.OWN}' and source_class = 'server_log'"
    page = read(client, f"/shows/{world.OWN}?days=28&window=first_touch", keys["ann"])
    told, published = figures(page), figures(read(client, f"/shows/{world.OWN}?days=28", keys["ann"]))
    counted = one(
        marts,
        f"select sum(downloads_first_touch) {here} and date between '2026-08-07' and '2026-09-03'",
    )
    assert number(told["Downloads in 28 days"]) == counted < number(published["Downloads in 28 days"])
    assert told["Listeners in 28 days"] == published["Listeners in 28 days"]
    assert "once in 24 h from the first request" in words(page.cssselect("p.about.small")[0])
    for anchor in ("listeners", "pacing", "episodes", "two-sources"):
        assert "once a calendar day only, as published" in words(section(page, anchor)), anchor
    key = world.episode_key(world.OWN, 3)
    assert number(
        figures(read(client, f"{EPISODE}?window=first_touch", keys["ann"]))["Downloads in all"]
    ) == (one(marts, f"select sum(downloads_first_touch) {here} and episode_key = {key}"))


def test_all_episodes_are_listed_page_by_page(
    client: TestClient, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = read(client, f"/shows/{world.OWN}?source_class=prefix", keys["ann"])
    assert len(rows(section(page, "episodes"))) == 12
    [more] = section(page, "episodes").cssselect("p.note a")
    assert words(more) == "All 20 episodes"
    assert len(rows(section(read(client, more.get("href"), keys["ann"]), "episodes"))) == 20
    monkeypatch.setattr(episodes, "PER_PAGE", 8)
    seen, href = [], f"/episodes?show={world.OWN}"
    while href:
        page = read(client, href, keys["operator"])  # whose answers are not kept from before
        listed = section(page, "episodes")
        seen += [row[0] for row in rows(listed)]
        assert all(row[3] != "–" for row in rows(listed)[1:])  # the first seven days, of old ones, too
        href = next((link.get("href") for link in listed.cssselect("nav a[rel=next]")), None)
    assert seen == [f"Week {n}" for n in range(20, 0, -1)]
    assert words(page.find(".//h2")) == "17 to 20 of 20, the newest first"
    beyond = read(client, f"/episodes?show={world.OWN}&page=9", keys["operator"])
    assert beyond.cssselect("nav a[rel=prev]")[0].get("href") == f"/episodes?show={world.OWN}&page=3"


def test_requests_left_out_add_up_to_the_log_lines(client: TestClient, keys: dict[str, str]) -> None:
    part = section(read(client, f"/shows/{world.OWN}", keys["ann"]), "exclusions")
    _, _, told = words(part.cssselect("p.lead")[0]).partition("of ")
    lines, _, counted = told.partition(" log lines ")
    left_out = sum(number(row[2]) for row in rows(part))
    assert number(lines) == left_out + number(counted.split(" count")[0])


def test_behind_every_chart_is_a_table_and_on_every_figure_a_rule(
    client: TestClient, keys: dict[str, str]
) -> None:
    page = read(client, f"/shows/{world.OWN}", keys["ann"])
    assert [one.get("aria-labelledby") for one in page.cssselect("section")] == list(OF_SHOW)
    drawn = page.cssselect("section:has(figure.drawn)")
    assert len(drawn) == 3
    for part in drawn:
        assert part.cssselect("details table tbody tr")
        assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in part.cssselect("figure svg"))
    for figure in page.cssselect("dl.figures > div, section"):
        assert figure.cssselect("a.rule")


@pytest.mark.parametrize("path", [f"/shows/{world.OWN}", EPISODE, "/collaborations/1"])
def test_axes_say_what_they_count_and_no_word_is_a_column_of_ours(
    client: TestClient, keys: dict[str, str], path: str
) -> None:
    page = read(client, path, keys["ann"])
    for svg in page.cssselect("figure.drawn .broad svg"):
        told = [words(text) for text in svg.cssselect("text")]
        assert any(unit in one for one in told for unit in ("downloads", "listeners")), told
    said = words(page.find(".//main"))
    assert not re.findall(r"\b[a-z]+_[a-z_]+\b|\bfct|`", said)


def test_an_episode_is_shown_against_its_show(
    client: TestClient, keys: dict[str, str], marts: duckdb.DuckDBPyConnection
) -> None:
    key = world.episode_key(world.OWN, 3)
    page = read(client, f"/episodes/{key}", keys["ann"])
    told = figures(page)
    here = f"from fct_downloads where episode_key = {key} and source_class = 'server_log'"
    assert number(told["Downloads in all"]) == one(marts, f"select count(*) {here}")
    assert number(told["First 7 days"]) == one(
        marts, f"select downloads from fct_episode_pacing where episode_key = {key} and age_days = 7"
    )
    assert len(page.cssselect("figure.drawn")) == 2


def test_a_collaboration_is_told_with_its_interval_and_its_calculation(
    client: TestClient, keys: dict[str, str]
) -> None:
    part = section(read(client, f"/shows/{world.OWN}", keys["ann"]), "collaborations")
    told = {row[0]: row[2] for row in rows(part)}
    assert told["Partner 1"] == "90 (62 to 118)"
    assert told["Partner 3"] == "3.2 (−14 to 21): cannot tell"
    assert len(part.cssselect("tbody td .interval svg")) == 4  # of those with a number
    page = read(client, "/collaborations/1", keys["ann"])
    assert "About 90 new listeners (90 % interval 62 to 118)." in words(page)
    assert "79.2 ÷ 0.88 = 90" in words(page)
    assert len(page.cssselect("figure.drawn")) == 2


def test_a_podcast_is_told_with_its_changes_from_what_to_what(
    client: TestClient, keys: dict[str, str]
) -> None:
    page = read(client, f"/podcasts/{world.PODCASTS[world.OWN]}", keys["operator"])
    changes = page.cssselect("ol.changes > li")
    assert [words(one.cssselect("strong")[0]) for one in changes] == [
        "The podcast changed", "Episode changed", "New episode", "First seen",
    ]  # fmt: skip
    assert words(changes[1].cssselect("del")[0]) == "Week one"
    assert words(changes[1].cssselect("ins")[0]) == "Week 1"
    assert "fetched at least every 60 min" in words(section(page, "polls"))


def test_the_first_page_lists_the_shows_and_adds_up_their_downloads(
    client: TestClient, keys: dict[str, str], marts: duckdb.DuckDBPyConnection
) -> None:
    page = read(client, "/", keys["operator"])
    listed = {row[0]: row[2] for row in rows(section(page, "shows"))}
    assert len(listed) == 3
    total = one(
        marts,
        "select count(*) from fct_downloads where source_class = 'server_log'"
        " and date between '2026-08-07' and '2026-09-03'",
    )
    assert number(figures(page)["Downloads in 28 days"]) == total == sum(map(number, listed.values()))
    assert "cdn" in words(section(page, "sources"))
    assert not read(client, "/", keys["ann"]).cssselect('section[aria-labelledby="sources"]')
    found = read(client, "/?q=gard", keys["operator"])
    assert [row[0] for row in rows(section(found, "shows"))] == ["Garden Talk"]


@pytest.mark.parametrize("who", ["operator", None])
def test_every_link_leads_to_a_page_and_a_place_on_it(
    client: TestClient, keys: dict[str, str], who: str | None
) -> None:
    """Whoever follows the links of a page never meets an error, a lost anchor or what is not theirs."""
    header = {"authorization": f"Bearer {keys[who]}"} if who else {}
    waiting, anchors = deque(["/"]), {}  # type: ignore[var-annotated]
    wanted: set[tuple[str, str]] = set()
    while waiting and len(anchors) < 24:
        path = waiting.popleft()
        if path in anchors:
            continue
        answer = client.get(path, headers=header)
        assert answer.status_code == 200, path
        page = html.fromstring(answer.text) if "html" in answer.headers["content-type"] else None
        anchors[path] = set(page.xpath("//@id")) if page is not None else set()
        for href in page.xpath("//a/@href | //link/@href") if page is not None else []:
            target, anchor = urldefrag(urljoin(path, href))
            if target.startswith("/") and not target.startswith("/v1/"):
                waiting.append(target)
                if anchor:
                    wanted.add((target, anchor))
    lost = {(path, anchor) for path, anchor in wanted if path in anchors and anchor not in anchors[path]}
    assert not lost
