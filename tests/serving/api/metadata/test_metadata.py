"""Records, changes, history and search over HTTP: the latest there is, and nothing of another tenant."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import polars as pl
from starlette.testclient import TestClient

from ingest.feeds.urls import podcast_key
from registry import show_access
from registry.podcasts import deregister, register
from registry.registration import registration
from serving.api.core import Core
from serving.api.sessions import COOKIE, Session, issue
from serving.metadata.index import index_path, update
from tests.serving.api.conftest import ALL_SHOWS, NOW_US, of
from tests.serving.api.metadata.conftest import KEYS, SEEN, URLS
from tests.serving.api.published import a_show, publish_rows
from tests.serving.metadata.lake import change, commit, episode, podcast
from tests.serving.metadata.lake import episode_key as episode_key_of

Keys = dict[str, str]


def got(api: TestClient, path: str, key: str | None = None, **headers: str) -> Any:
    answer = api.get(path, headers={**(of(key) if key else {}), **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(rows: list[dict[str, Any]]) -> set[str]:
    by_key = {str(key): name for name, key in KEYS.items()}
    return {by_key[row["podcast_key"]] for row in rows}


def test_everybody_sees_their_own_podcasts_and_open_ones_everywhere(api: TestClient, keys: Keys) -> None:
    for who, seen in SEEN.items():
        key = keys[who] if who else None
        assert names(got(api, "/v1/podcasts", key)["data"]) == seen
        assert names(got(api, "/v1/search?q=podcast", key)["data"]) == seen
        for name, podcast_id in KEYS.items():
            for path in ("", "/episodes", "/history"):
                answer = api.get(f"/v1/podcasts/{podcast_id}{path}", headers=of(key) if key else {})
                assert answer.status_code == (200 if name in seen else 404), (name, path, answer.text)
            found = got(api, f"/v1/episodes?guid={name}-1", key)["data"]
            assert names(found) == ({name} & seen)
    assert names(got(api, "/v1/podcasts", keys["operator"])["data"]) == set(KEYS)


def test_changes_are_those_of_podcasts_one_tracks_and_need_a_key(api: TestClient, keys: Keys) -> None:
    assert names(got(api, "/v1/changes?since=2026-01-01T00:00:00Z", keys["ann"])["data"]) == {"ann", "both"}
    assert api.get("/v1/changes").status_code == 401


def test_nobody_sees_a_token_of_a_feed_they_do_not_track(api: TestClient, keys: Keys) -> None:
    """200 generated attempts, at every endpoint, by every name."""
    chance = random.Random(8)
    secrets = {name: f"{name}-secret" for name in ("ann", "bob", "open")}
    for _ in range(200):
        who = chance.choice(["ann", "bob", None])
        name = chance.choice(list(KEYS))
        number = episode_key_of(KEYS[name], 1)
        named = chance.choice([str(KEYS[name]), f"guid-of-{name}", "itunes:11"])
        path = chance.choice(
            [
                f"/v1/podcasts/{named}",
                f"/v1/podcasts/{named}/episodes",
                f"/v1/podcasts/{named}/episodes/{number}",
                f"/v1/podcasts/{named}/history",
                f"/v1/podcasts?guid=guid-of-{name}",
                "/v1/podcasts?itunes_id=11",
                f"/v1/episodes?guid={name}-1",
                f"/v1/episodes?enclosure_url=https://cdn.example/{KEYS[name]}/1.mp3",
                f"/v1/search?q={name}",
                "/v1/changes?since=2026-01-01T00:00:00Z",
            ]
        )
        answer = api.get(path, headers=of(keys[who]) if who else {})
        for owner, secret in secrets.items():
            if owner != who:
                assert secret not in answer.text, (who, path)
        others = set(KEYS) - SEEN[who]
        for other in others:
            assert str(KEYS[other]) not in answer.text.replace(path, ""), (who, path)
            assert f"The {other.title()} Podcast" not in answer.text, (who, path)


def test_a_record_is_that_of_the_last_sweep_and_is_sent_once(api: TestClient, keys: Keys, root: Path) -> None:
    path, head = f"/v1/podcasts/{KEYS['ann']}", of(keys["ann"])
    first = api.get(path, headers=head)
    assert first.json()["record"]["title"] == "The Ann Podcast"
    assert first.json()["record"]["feed_url"] == URLS["ann"]
    assert first.json()["labels"] == ["hers"]
    tag = first.headers["etag"]
    assert api.get(path, headers={**head, "if-none-match": tag}).status_code == 304
    commit(root, KEYS["ann"], sequence=3, podcasts=[podcast(KEYS["ann"], "Renamed")])
    fresh = api.get(path, headers={**head, "if-none-match": tag})
    assert (fresh.status_code, fresh.json()["record"]["title"]) == (200, "Renamed")


def test_a_podcast_that_both_track_tells_each_only_its_own_labels(api: TestClient, keys: Keys) -> None:
    assert got(api, f"/v1/podcasts/{KEYS['both']}", keys["ann"])["labels"] == ["hers"]
    assert got(api, f"/v1/podcasts/{KEYS['both']}", keys["bob"])["labels"] == ["his"]


def test_who_leaves_a_podcast_sees_it_no_more_from_then_on(api: TestClient, core: Core, keys: Keys) -> None:
    got(api, f"/v1/podcasts/{KEYS['both']}", keys["ann"])
    deregister(core.engine, [KEYS["both"]], "ann", "left")
    assert api.get(f"/v1/podcasts/{KEYS['both']}", headers=of(keys["ann"])).status_code == 404
    assert names(got(api, "/v1/search?q=podcast", keys["ann"])["data"]) == {"ann", "open"}
    assert names(got(api, "/v1/podcasts", keys["bob"])["data"]) == SEEN["bob"]


def test_a_podcast_that_was_not_polled_yet_has_no_record(api: TestClient, core: Core, keys: Keys) -> None:
    url = "https://feeds.example/new.xml"
    register(core.engine, [registration(url, "ann")], NOW_US)
    said = got(api, f"/v1/podcasts/{podcast_key(url)}", keys["ann"])
    assert (said["state"], said["record"]) == ("active", None)
    assert got(api, f"/v1/podcasts/{podcast_key(url)}/episodes", keys["ann"])["data"] == []
    assert got(api, f"/v1/podcasts/{podcast_key(url)}/history", keys["ann"])["data"] == []


def test_a_name_of_several_podcasts_asks_for_a_key(api: TestClient, core: Core, keys: Keys) -> None:
    register(core.engine, [registration("https://feeds.example/twin.xml", "ann", itunes_id="11")], NOW_US)
    answer = api.get("/v1/podcasts/itunes:11", headers=of(keys["ann"]))
    assert answer.status_code == 409
    assert str(KEYS["ann"]) in answer.json()["detail"]
    assert str(KEYS["bob"]) not in answer.text


def test_pages_of_podcasts_and_episodes_have_each_row_once(api: TestClient, keys: Keys) -> None:
    for path in ("/v1/podcasts", f"/v1/podcasts/{KEYS['ann']}/episodes"):
        whole = got(api, path, keys["ann"])["data"]
        assert len(whole) == 3
        rows, cursor = [], ""
        while True:
            page = got(api, f"{path}?limit=1{cursor}", keys["ann"])
            rows += page["data"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert rows == whole
    assert [row["title"] for row in whole] == ["Episode 3", "Episode 2", "Episode 1"]


def test_an_episode_is_found_by_guid_by_any_url_and_by_key(
    api: TestClient, keys: Keys, core: Core, root: Path
) -> None:
    key = KEYS["ann"]
    urls = ["https://cdn.example/new.mp3", "https://old.example/ep.mp3"]
    commit(root, key, sequence=3, episodes=[episode(key, 1, guid="now", enclosure_urls=urls)])
    update(core.settings.platform)
    head = keys["ann"]
    found = got(api, "/v1/episodes?guid=now", head)["data"]
    assert [row["episode_key"] for row in found] == [str(episode_key_of(key, 1))]
    assert got(api, "/v1/episodes?guid=ann-1", head)["data"] == []  # its name before
    tokened = "https://old.example/ep.mp3?token=x"
    for path in ("/v1/episodes", f"/v1/podcasts/{key}/episodes"):
        rows = got(api, f"{path}?enclosure_url={tokened}", head)["data"]
        assert [row["guid"] for row in rows] == ["now"], path
    record = got(api, f"/v1/podcasts/{key}/episodes/{episode_key_of(key, 1)}", head)
    assert record["enclosure_urls"] == urls
    assert got(api, f"/v1/episodes?episode_key={episode_key_of(key, 1)}", head)["data"] == found


def test_the_history_comes_from_marts_and_lake_alike(
    api: TestClient, core: Core, keys: Keys, root: Path
) -> None:
    key, head = KEYS["ann"], keys["ann"]
    from_lake = got(api, f"/v1/podcasts/{key}/history?field=title", head)["data"]
    assert [(row["sequence"], row["old"], row["new"]) for row in from_lake] == [(2, "Old", "ann")]
    rows = [
        {"podcast_key": key, "sequence": 1, "change": "podcast.added", "is_minor": False, "generation": 1},
        {
            "podcast_key": key,
            "sequence": 2,
            "detected_at": from_lake[0]["detected_at"].replace("T", " ").rstrip("Z"),
            "change": "podcast.updated",
            "is_minor": False,
            "field": "title",
            "old_value": "Old",
            "new_value": "ann",
            "generation": 1,
        },
    ]
    shows = [a_show(show) for show in ALL_SHOWS]
    publish_rows(core.settings.platform.published_dir, {"dim_shows": shows, "fct_metadata_changes": rows})
    core.refresh()
    assert got(api, f"/v1/podcasts/{key}/history?field=title", head)["data"] == from_lake
    commit(root, key, sequence=3, changes=[change(key, 3, old="ann", new="newest")])
    newer = got(api, f"/v1/podcasts/{key}/history?field=title&limit=1", head)
    assert [row["new"] for row in newer["data"]] == ["newest"]
    then = got(api, f"/v1/podcasts/{key}/history?field=title&limit=1&cursor={newer['next']}", head)
    assert then["data"] == from_lake
    assert then["next"] is None


def test_changes_go_on_where_the_cursor_says(api: TestClient, keys: Keys, root: Path) -> None:
    first = got(api, "/v1/changes?since=2026-01-01T00:00:00Z", keys["ann"])
    assert len(first["data"]) == 4
    again = got(api, f"/v1/changes?cursor={first['cursor']}", keys["ann"])
    assert (again["data"], again["has_more"]) == ([], False)
    commit(root, KEYS["ann"], sequence=3, changes=[change(KEYS["ann"], 3, old=["a"], new=["b"])])
    new = got(api, f"/v1/changes?cursor={again['cursor']}", keys["ann"])["data"]
    assert [(row["sequence"], row["fields"]) for row in new] == [
        (3, [{"field": "title", "old": ["a"], "new": ["b"]}])
    ]
    only = got(api, "/v1/changes?since=2026-01-01T00:00:00Z&type=podcast.added", keys["ann"])["data"]
    assert {row["change"] for row in only} == {"podcast.added"}


def test_where_a_podcast_was_before_one_tracked_it_is_not_told(
    api: TestClient, keys: Keys, root: Path, core: Core
) -> None:
    key = KEYS["both"]
    moved = change(
        key, 3, "feed_url", URLS["both"], "https://x.example/", change="podcast.moved", detected_us=1
    )
    commit(root, key, sequence=3, changes=[moved])
    path = f"/v1/podcasts/{key}/history?field=feed_url"
    (row,) = got(api, path, keys["ann"])["data"]
    assert (row["field"], row["old"], row["new"]) == ("feed_url", None, None)
    (row,) = got(api, path, keys["operator"])["data"]
    assert row["old"] == URLS["both"]


def test_rows_are_the_same_in_each_format(api: TestClient, keys: Keys) -> None:
    head = of(keys["ann"])
    path = f"/v1/podcasts/{KEYS['ann']}/episodes"
    asked = [row["guid"] for row in got(api, path, keys["ann"])["data"]]
    csv = api.get(path, headers={**head, "accept": "text/csv"})
    assert pl.read_csv(io.BytesIO(csv.content))["guid"].to_list() == asked
    parquet = api.get(f"{path}?format=parquet", headers=head)
    assert pl.read_parquet(io.BytesIO(parquet.content))["guid"].to_list() == asked


UNUSABLE = [
    ("/v1/podcasts?url=ftp://x", "url"),
    ("/v1/podcasts?itunes_id=0", "itunes_id"),
    ("/v1/podcasts?guid=a%00b", "guid"),
    ("/v1/podcasts?cursor=AAAA", "cursor"),
    ("/v1/podcasts?limit=1001", "limit"),
    ("/v1/podcasts?colour=red", "colour"),
    ("/v1/search", "q"),
    ("/v1/search?q=!!!", "q"),
    ("/v1/episodes", "guid"),
    ("/v1/episodes?guid=a&episode_key=1", "guid"),
    ("/v1/episodes?episode_key=x", "episode_key"),
    ("/v1/changes?cursor=x", "cursor"),
    ("/v1/changes?since=2026-11-01T00:00:00", "since"),
    ("/v1/changes?since=1990-01-01T00:00:00Z", "since"),
    ("/v1/changes?type=podcast.eaten", "type.0"),
    (f"/v1/podcasts/{KEYS['ann']}/history?field=password", "field"),
    (f"/v1/podcasts/{KEYS['ann']}/history?episode_key=x", "episode_key"),
    (f"/v1/podcasts/{KEYS['ann']}/episodes/x", "episode"),
    ("/v1/podcasts/99999999999999999999", "podcast"),
    ("/v1/podcasts/a%00b", "podcast"),
]


def test_what_cannot_be_used_is_named(api: TestClient, keys: Keys) -> None:
    for path, field in UNUSABLE:
        answer = api.get(path, headers=of(keys["ann"]))
        assert answer.status_code in (404, 422), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["field"] for error in answer.json()["errors"]] == [field], path


def test_a_foreign_podcast_and_one_that_is_not_there_are_answered_alike(api: TestClient, keys: Keys) -> None:
    foreign = api.get(f"/v1/podcasts/{KEYS['bob']}", headers=of(keys["ann"]))
    missing = api.get("/v1/podcasts/12345", headers=of(keys["ann"]))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content


def test_without_a_lake_there_is_nothing_yet_and_no_error(client: TestClient, keys: Keys) -> None:
    assert got(client, "/v1/podcasts", keys["ann"])["data"] == []
    assert got(client, "/v1/changes", keys["ann"])["data"] == []
    assert got(client, "/v1/search?q=x", keys["ann"])["data"] == []
    assert got(client, "/v1/episodes?guid=x", keys["ann"])["data"] == []


def test_until_the_index_is_made_it_is_said(api: TestClient, core: Core, keys: Keys) -> None:
    index_path(core.settings.platform).unlink()
    for path in ("/v1/search?q=x", "/v1/episodes?guid=x"):
        answer = api.get(path, headers=of(keys["ann"]))
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "earshot sweep" in answer.json()["detail"]


def test_a_link_to_one_show_opens_nothing_else_of_the_tenant(api: TestClient, core: Core, keys: Keys) -> None:
    register(core.engine, [registration(URLS["ann"], "ann", show_id="ann-1")], NOW_US)
    until_us = NOW_US + 3_600_000_000
    link = issue(core.secret, Session(until_us, tenant="ann", show_id="ann-1"))
    head = {"cookie": f"{COOKIE}={link}"}

    def seen(path: str) -> set[str]:
        answer = api.get(path, headers=head)
        assert answer.status_code == 200 and "-secret" not in answer.text and "hers" not in answer.text
        return names(answer.json()["data"])

    shown = api.get(f"/v1/podcasts/{KEYS['ann']}", headers=head)
    assert shown.status_code == 200 and "secret" not in shown.text and shown.json()["labels"] == []
    assert seen("/v1/podcasts") == seen("/v1/search?q=podcast") == {"ann", "open"}
    assert api.get(f"/v1/podcasts/{KEYS['both']}", headers=head).status_code == 404
    show_access.withdraw(core.engine, NOW_US, "ann", ["ann-1"])
    core.refresh()
    assert seen("/v1/podcasts") == seen("/v1/search?q=podcast") == {"open"}
    assert api.get(f"/v1/podcasts/{KEYS['ann']}", headers=head).status_code == 404
