"""Who sees which page: owners their shows, strangers what is open and no small figure, others nothing."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert
from starlette.testclient import TestClient
from typer.testing import CliRunner

from earshot.cli import app as commands
from registry import show_access
from registry.api_keys import Scope, create, revoke
from registry.podcasts import register
from registry.registration import registration
from registry.tables import podcasts, registrations
from serving.api.core import Core
from serving.api.sessions import COOKIE, Session, issue
from tests.serving.api.conftest import NOW_US, of
from tests.serving.pages import world
from tests.serving.pages.reading import figures, read, rows, section, words

# Of show-a, ann's: its page, an episode, a collaboration, its podcast.
ANNS = (
    f"/shows/{world.OWN}",
    f"/episodes/{world.episode_key(world.OWN, 1)}",
    "/collaborations/1",
    f"/podcasts/{world.PODCASTS[world.OWN]}",
)
NONE = ("/shows/none", "/episodes/77", "/collaborations/77", "/podcasts/77")
SECRETS = ("Garden Talk", "show-a", "token=secret", "Partner 1", "asked for by")


def track(core: Core, podcast_key: int, tenant: str, since: datetime) -> None:
    """As by `register`, whose keys follow from URLs, which the world's do not."""
    since_us = int(since.replace(tzinfo=UTC).timestamp()) * 1_000_000
    feed = {"feed_url": f"https://feeds.example/{podcast_key}.xml", "since_us": since_us, "state": "active"}
    with core.engine.begin() as connection:
        connection.execute(delete(registrations).where(registrations.c.podcast_key == podcast_key))
        connection.execute(delete(podcasts).where(podcasts.c.podcast_key == podcast_key))
        connection.execute(insert(podcasts).values(podcast_key=podcast_key, shard=podcast_key, **feed))
        connection.execute(
            insert(registrations).values(podcast_key=podcast_key, tenant=tenant, labels=[], since_us=since_us)
        )
    touch(core)


def touch(core: Core) -> None:
    """Have the registry count a change."""
    register(core.engine, [registration(f"https://news.example/{uuid4().hex}.xml", "zed")], NOW_US)


def enter(client: TestClient, key: str) -> None:
    answer = client.post("/session", data={"key": key}, follow_redirects=False)
    assert answer.status_code == 303, answer.text


@pytest.mark.parametrize("who", ["bob", None])
def test_what_is_not_theirs_is_not_there(client: TestClient, keys: dict[str, str], who: str | None) -> None:
    for theirs, none in zip(ANNS, NONE, strict=True):
        pages = [read(client, path, keys[who] if who else None, 404) for path in (theirs, none)]
        assert words(pages[0].find(".//main")) == words(pages[1].find(".//main"))


def test_an_address_that_is_not_there_is_told_a_browser_as_a_page(client: TestClient) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/podcasts/", 404),
        ("PUT", "/podcasts", 405),
    ):
        answer = client.request(method, path, headers=browser)
        assert answer.status_code == status and answer.headers["content-type"].startswith("text/html"), path
        assert "All shows" in answer.text and "openapi" not in answer.text
        assert "form-action" in answer.headers["content-security-policy"]
        plain = client.request(method, path, headers={"accept": "*/*"})
        assert (
            plain.headers["content-type"] == "application/problem+json" and plain.json()["status"] == status
        )
    for path in ("/v1", "/v1/nowhere"):
        assert client.get(path, headers=browser).json()["status"] == 404


def test_two_hundred_attempts_on_another_tenants_show_bring_not_a_word_of_it(
    client: TestClient, keys: dict[str, str]
) -> None:
    queries = ["", "?days=28", "?days=365", "?source_class=prefix", "?days=28&source_class=prefix"]
    ways = [
        "{0}",
        "{0}/",
        "//{0}",
        "{0}%00",
        "{0}%2f",
        "./{0}",
        "{0}/../{0}",
        "{0};x",
        "{0}%23",
        "{0}?q=garden",
    ]
    paths = [way.format(path.strip("/")) for path in ANNS for way in ways]
    attempts = [f"/{path.lstrip('/')}{query}" for path, query in itertools.product(paths, queries)]
    attempts += ["/?q=Garden", "/podcasts?q=Garden", "/?page=2", "/podcasts?page=2"]
    assert len(attempts) > 200
    for path in attempts:
        answer = client.get(path, headers={"authorization": f"Bearer {keys['bob']}"})
        assert answer.status_code < 500, path
        told = answer.text.replace(path, "")
        asked = told.replace("“Garden”", "").replace('value="Garden"', "")
        assert not [secret for secret in SECRETS if secret in asked], path


def test_strangers_see_what_is_open_and_no_figure_of_few_listeners(
    client: TestClient, keys: dict[str, str]
) -> None:
    page = read(client, f"/shows/{world.OPEN}")
    assert [one.get("aria-labelledby") for one in page.cssselect("section")] == [
        "downloads", "episodes", "listeners", "apps", "exclusions",
    ]  # fmt: skip
    assert "Open to the public: audience, downloads" in words(page)
    told = [row[1] for row in rows(section(page, "downloads"))]
    assert "0 or few" in told
    assert all(one == "0 or few" or int(one) >= 10 for one in told)
    assert "without days of few listeners" in words(page)
    lead = words(section(page, "downloads").cssselect("p.lead")[0])
    assert "The most, " in lead and any(f" {month} 2026." in lead for month in ("Jun", "Jul", "Aug", "Sep"))
    [listed] = rows(section(read(client, "/"), "shows"))
    assert listed[0] == "Open Water"
    assert listed[1] == "" and listed[3] == "–"
    # Its owner would see all.
    assert "0 or few" not in words(read(client, f"/shows/{world.OPEN}", keys["operator"]))


def test_strangers_are_told_no_other_window(client: TestClient, keys: dict[str, str]) -> None:
    for path in (f"/shows/{world.OPEN}?", f"/episodes?show={world.OPEN}&"):
        page, asked = read(client, path.rstrip("?&")), read(client, f"{path}window=first_touch")
        assert "first request" not in words(asked)
        assert words(asked.find(".//main")) == words(page.find(".//main"))


def test_strangers_see_an_episode_so_far_and_not_by_days(client: TestClient, keys: dict[str, str]) -> None:
    path = f"/episodes/{world.episode_key(world.OPEN, 1)}"
    page, owned = read(client, path), read(client, path, keys["operator"])
    assert [one.get("aria-labelledby") for one in page.cssselect("section")] == ["exclusions"]
    assert section(owned, "downloads") is not None
    assert set(figures(page)) <= {"Downloads in all"} < set(figures(owned))


def test_the_first_page_sums_up_nothing_for_who_does_not_own_all_of_it(
    client: TestClient, keys: dict[str, str]
) -> None:
    for key in (None, keys["bob"]):  # bob sees his own and the open one
        page = read(client, "/", key)
        assert set(figures(page)) == {"Shows", "Episodes"}
        assert "downloads" not in [one.get("aria-labelledby") for one in page.cssselect("section")]
        listed = section(page, "shows").cssselect("tbody tr")
        [opened] = [row for row in listed if "Open Water" in words(row)]
        assert not opened.cssselect("svg")
    page = read(client, "/", keys["operator"])
    assert "Downloads in 28 days" in figures(page) and section(page, "downloads") is not None


def test_a_small_show_tells_strangers_nothing_that_counts_few(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    show_access.open_to_all(core.engine, NOW_US, [world.EVIL], list(show_access.Subject))
    core.refresh()
    try:
        page = read(client, f"/shows/{world.EVIL}")
        assert set(figures(page)) == {"Downloads in 90 days"} and figures(page)["Downloads in 90 days"] == "0"
        told = rows(section(page, "downloads")) + rows(section(page, "episodes"))
        assert {row[1] for row in told if not row[1].startswith(("0", "few"))} <= {row[1] for row in told}
        assert all(row[-1] in ("few", "–", "0", "") for row in rows(section(page, "episodes")))
    finally:
        show_access.close(core.engine, NOW_US, [world.EVIL], list(show_access.Subject))
        core.refresh()


def test_downloads_of_episodes_are_told_where_downloads_are_open(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    show_access.open_to_all(core.engine, NOW_US, [world.OWN], [show_access.Subject.PACING])
    core.refresh()
    try:
        for path in (f"/shows/{world.OWN}", f"/episodes?show={world.OWN}"):
            heads = [words(one) for one in section(read(client, path), "episodes").cssselect("thead th")]
            assert "First 7 days" in heads and "In all" not in heads
    finally:
        show_access.close(core.engine, NOW_US, [world.OWN], [show_access.Subject.PACING])
        core.refresh()


def test_what_it_cost_is_told_to_the_tenant_that_paid(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    key, _ = create(core.engine, NOW_US, "default", [Scope.READ])  # whose collaborations they are
    show_access.grant(core.engine, NOW_US, "default", [world.OWN])
    core.refresh()
    assert "180.00 EUR" in words(read(client, "/collaborations/1", key))
    assert "EUR" not in words(read(client, "/collaborations/1", keys["ann"]))


def test_how_a_feed_is_polled_and_where_is_told_to_who_tracks_it_as_in_the_api(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    key = world.PODCASTS[world.OWN]
    assert "token=secret" not in words(read(client, f"/podcasts/{key}", keys["ann"]))  # she owns the show
    for since, tells_former in ((datetime(2026, 9, 4), False), (datetime(2026, 9, 1), True)):
        track(core, key, "ann", since)
        page = words(read(client, f"/podcasts/{key}", keys["ann"]))
        assert "show-a.xml?token=secret" in page and "every 7 days" in page
        assert ("a.example/?token=secret" in page) is tells_former
        told = client.get(f"/v1/podcasts/{key}/history", headers=of(keys["ann"])).text
        assert ("a.example/?token=secret" in told) is tells_former
        with core.engine.begin() as connection:
            connection.execute(delete(registrations).where(registrations.c.podcast_key == key))
        touch(core)
        assert "token=secret" not in words(read(client, f"/podcasts/{key}", keys["ann"]))
    path = f"/podcasts/{world.PODCASTS[world.OPEN]}"
    stranger, operator = read(client, path), read(client, path, keys["operator"])
    assert "token=secret" in words(operator) and "every 7 days" in words(operator)
    assert "token=secret" not in words(stranger) and "every 7 days" not in words(stranger)
    assert "asked for by" not in words(operator)


def test_a_key_entered_once_is_remembered_without_the_key(client: TestClient, keys: dict[str, str]) -> None:
    answer = client.post("/session", data={"key": f" {keys['ann']} "}, follow_redirects=False)
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert cookie["httponly"] and cookie["samesite"] == "lax" and keys["ann"] not in cookie.value
    assert "ann" in words(read(client, f"/shows/{world.OWN}"))
    client.post("/session/end")
    read(client, f"/shows/{world.OWN}", status=404)


def test_a_key_that_is_wrong_or_may_not_read_is_refused_on_the_page(
    client: TestClient, keys: dict[str, str]
) -> None:
    for key, status in (("es_wrong", 401), ("", 401), ("x" * 300, 422), (keys["hints"], 403)):
        answer = client.post("/session", data={"key": key})
        assert answer.status_code == status
        assert "text/html" in answer.headers["content-type"] and COOKIE not in answer.headers.get(
            "set-cookie", ""
        )


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary at all"),
        ("application/x-www-form-urlencoded", b"a=&" * 200_000),
    ],
)
def test_a_form_that_cannot_be_read_is_the_senders_mistake(
    client: TestClient, kind: str, body: bytes
) -> None:
    answer = client.post("/session", content=body, headers={"content-type": kind})
    assert answer.status_code == 400 and "This request cannot be read" in answer.text


def test_a_form_on_another_page_begins_and_ends_no_session(client: TestClient, keys: dict[str, str]) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}):
        for path in ("/session", "/session/end"):
            answer = client.post(path, data={"key": keys["ann"]}, headers=headers, follow_redirects=False)
            assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_a_revoked_key_ends_its_sessions(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    key, made = create(core.engine, NOW_US, "ann", [Scope.READ])
    core.refresh()
    enter(client, key)
    read(client, f"/shows/{world.OWN}")
    revoke(core.engine, NOW_US, made.key_id)
    core.refresh()
    read(client, f"/shows/{world.OWN}", status=404)


def test_a_session_that_was_tampered_with_is_nobodys(client: TestClient, keys: dict[str, str]) -> None:
    enter(client, keys["ann"])
    value = client.cookies[COOKIE]
    for place in (0, len(value) // 2, len(value) - 2):
        client.cookies.clear()
        client.cookies.set(COOKIE, value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :])
        read(client, f"/shows/{world.OWN}", status=404)


def test_a_link_opens_one_show_without_a_key(
    client: TestClient, core: Core, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_access.grant(core.engine, NOW_US, "carol", [world.OWN, world.OPEN])
    core.refresh()
    data: Path = core.settings.platform.data
    monkeypatch.setenv("EARSHOT_DATA", str(data))
    done = CliRunner().invoke(
        commands, ["access", "link", "carol", world.OWN, "--base", "http://pages.example"]
    )
    assert done.exit_code == 0, done.output
    link = done.stdout.split()[0]
    assert link.startswith("http://pages.example/link/")
    answer = client.get(link.removeprefix("http://pages.example"), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/shows/{world.OWN}")
    assert "By a link" in words(read(client, f"/shows/{world.OWN}"))
    podcast = words(read(client, f"/podcasts/{world.PODCASTS[world.OWN]}"))
    assert "token=secret" not in podcast and "every 7 days" not in podcast and "Made with" not in podcast
    assert "0 or few" in words(read(client, f"/shows/{world.OPEN}"))  # carol's too, but not the link's
    assert read(client, link.removeprefix("http://pages.example")[:-3] + "xyz", status=410) is not None
    refused = CliRunner().invoke(commands, ["access", "link", "carol", world.EVIL])
    assert refused.exit_code == 2 and "no show of carol's" in refused.output


def test_a_link_takes_no_keys_place(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    def opened(tenant: str, show_id: str) -> int:
        session = Session(time.time_ns() // 1000 + 60_000_000, tenant=tenant, show_id=show_id)
        return client.get(f"/link/{issue(core.secret, session)}", follow_redirects=False).status_code

    enter(client, keys["ann"])
    assert opened("ann", world.OWN) == 303  # her own
    assert ">ann</span>" in client.get("/").text
    assert opened("bob", world.EVIL) == 409
    assert ">ann</span>" in client.get("/").text
    read(client, f"/shows/{world.EVIL}", status=404)
    client.post("/session/end")
    assert opened("bob", world.EVIL) == 303 and opened("ann", world.OWN) == 303
    assert "By a link" in words(read(client, f"/shows/{world.OWN}"))
