"""Registering over HTTP: one truth with the commands, and only ever one's own."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from ingest.feeds.urls import derived_guid, podcast_key
from registry.podcasts import Filter, find, listing, register
from registry.registration import registration
from serving.api.core import Core
from tests.serving.api.conftest import NOW_US, of
from tests.serving.api.management.conftest import Call, fields

URL = "https://feeds.example/show.xml"
OPML = """<?xml version="1.0"?><opml version="2.0"><body><outline text="x">
<outline type="rss" text="A" xmlUrl="https://feeds.example/a.xml"/>
<outline type="rss" text="B" xmlUrl="ftp://feeds.example/b.xml"/></outline></body></opml>"""


@pytest.fixture
def engine(core: Core) -> Engine:
    return core.engine


def tracked(engine: Engine, tenant: str) -> dict[str, tuple[str, ...]]:
    return {
        podcast.feed_url: next(each.labels for each in podcast.trackings if each.tenant == tenant)
        for podcast in listing(engine, Filter(tenant=tenant))
    }


def test_a_registration_is_made_once_and_labels_add_up(call: Call, engine: Engine) -> None:
    wish = {"podcasts": [{"url": URL, "labels": ["customer"], "itunes_id": 7}]}
    done = call("ann", "POST", "/v1/registrations", 201, json=wish)
    assert (done["registered"], done["known"], done["rejected"]) == (1, 0, 0)
    again = call("ann", "POST", "/v1/registrations?label=vip", 200, json=wish)
    assert (again["registered"], again["known"], again["relabelled"]) == (0, 1, 1)
    assert tracked(engine, "ann") == {URL: ("customer", "vip")}
    (row,) = call("ann", "GET", "/v1/registrations")["data"]
    assert (row["podcast_key"], row["itunes_id"]) == (str(podcast_key(URL)), 7)
    status = call("ann", "GET", f"/v1/registrations/{podcast_key(URL)}")
    assert (status["crawl"], status["findings"]) == (None, [])


def test_csv_and_opml_are_taken_in_and_what_is_refused_is_told_with_its_line(
    call: Call, engine: Engine
) -> None:
    csv = "url,labels,itunes_id\nhttps://feeds.example/c.xml,lead,12\nnonsense,,\nhttps://feeds.example/d.xml,,x\n"
    done = call("ann", "POST", "/v1/registrations", 201, content=csv, headers={"content-type": "text/csv"})
    assert done["registered"] == 1
    assert [(one["line"], one["reason"]) for one in done["rejects"]] == [(3, "bad_url"), (4, "bad_value")]
    done = call(
        "ann", "POST", "/v1/registrations", 201, content=OPML, headers={"content-type": "text/x-opml"}
    )
    assert (done["registered"], done["rejects"][0]["line"]) == (1, 3)
    assert set(tracked(engine, "ann")) == {"https://feeds.example/c.xml", "https://feeds.example/a.xml"}
    gone = call(
        "ann", "POST", "/v1/deregistrations", content="url\nhttps://feeds.example/c.xml\n",
        headers={"content-type": "text/csv"},
    )  # fmt: skip
    assert (gone["deregistered"], set(tracked(engine, "ann"))) == (1, {"https://feeds.example/a.xml"})


def test_a_file_cannot_speak_for_another_tenant_nor_for_the_past(call: Call, engine: Engine) -> None:
    csv = "url,tenant,since\nhttps://feeds.example/b.xml,bob,\nhttps://feeds.example/a.xml,ann,1999-01-01\n"
    done = call("ann", "POST", "/v1/registrations", 201, content=csv, headers={"content-type": "text/csv"})
    assert (done["registered"], done["rejected"]) == (1, 1)
    assert "bob" in done["rejects"][0]["detail"]
    assert tracked(engine, "bob") == {}
    (podcast,) = find(engine, "https://feeds.example/a.xml")
    assert podcast.trackings[0].since_us >= NOW_US - 60_000_000


def test_a_show_id_must_be_ones_own(call: Call, engine: Engine) -> None:
    def wish(show_id: str) -> dict[str, object]:
        return {"podcasts": [{"url": URL, "show_id": show_id}]}

    refused = call("ann", "POST", "/v1/registrations", 422, json=wish("bob-1"))
    assert fields(refused) == ["podcasts"]
    call("ann", "POST", "/v1/registrations", 201, json=wish("ann-1"))
    assert find(engine, URL)[0].show_id == "ann-1"


def test_a_guid_is_judged_like_a_show_id(call: Call, engine: Engine) -> None:
    def wish(guid: str) -> dict[str, object]:
        return {"podcasts": [{"url": URL, "guid": guid}]}

    refused = call("ann", "POST", "/v1/registrations", 422, json=wish("bob-1"))
    assert "leave it out" in str(refused["errors"])
    csv = f"url,guid\n{URL},bob-1\n"
    call("ann", "POST", "/v1/registrations", 422, content=csv, headers={"content-type": "text/csv"})
    assert find(engine, URL) == []
    call("ann", "POST", "/v1/registrations", 201, json=wish(derived_guid(URL)))
    call("ann", "POST", "/v1/registrations", 200, json=wish("ann-1"))
    assert find(engine, URL)[0].podcast_guid == "ann-1"


def test_ids_of_a_podcast_that_another_tracks_are_left_as_they_are(call: Call, engine: Engine) -> None:
    register(engine, [registration(URL, "bob")], NOW_US)
    wish = {"podcasts": [{"url": URL, "guid": "ann-1", "itunes_id": 9, "show_id": "ann-1"}]}
    done = call("ann", "POST", "/v1/registrations", 201, json=wish)
    assert done["registered"] == 1
    (podcast,) = find(engine, URL)
    assert (podcast.podcast_guid, podcast.itunes_id, podcast.show_id) == (None, None, None)


def test_who_leaves_leaves_alone_and_no_reason_names_a_tenant(call: Call, engine: Engine) -> None:
    register(engine, [registration(URL, "ann", ["a"]), registration(URL, "bob", ["b"])], NOW_US)
    key = podcast_key(URL)
    call("ann", "DELETE", f"/v1/registrations/{key}")
    call("ann", "DELETE", f"/v1/registrations/{key}", 404)  # done again, nothing else happens
    assert tracked(engine, "bob") == {URL: ("b",)}
    done = call(
        "bob", "POST", "/v1/deregistrations", json={"podcasts": [str(key), URL, "https://x.example/"]}
    )
    assert (done["deregistered"], done["not_tracked"]) == (1, 1)
    (podcast,) = find(engine, URL)
    assert podcast.state == "deregistered"
    assert not {"ann", "bob"} & set((podcast.reason or "").split())


def test_another_tenants_podcasts_are_not_there(call: Call, engine: Engine) -> None:
    register(engine, [registration(URL, "bob", ["his"])], NOW_US)
    key = podcast_key(URL)
    assert call("ann", "GET", "/v1/registrations")["data"] == []
    assert call("ann", "GET", "/v1/registrations?label=his")["data"] == []
    foreign = call("ann", "GET", f"/v1/registrations/{key}", 404)
    assert foreign == call("ann", "GET", "/v1/registrations/12345", 404)
    call("ann", "DELETE", f"/v1/registrations/{key}", 404)
    call("ann", "GET", "/v1/registrations?tenant=bob", 403)
    assert call("operator", "GET", "/v1/registrations?tenant=bob")["data"][0]["labels"] == ["his"]
    assert tracked(engine, "bob") == {URL: ("his",)}


def test_pages_have_each_podcast_once(call: Call, engine: Engine) -> None:
    urls = {f"https://feeds.example/{number}.xml" for number in range(7)}
    register(engine, [registration(url, "ann") for url in urls], NOW_US)
    found, cursor = [], ""
    while True:
        page = call("ann", "GET", f"/v1/registrations?limit=3{cursor}")
        found += [row["feed_url"] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(found) == 7
    assert set(found) == urls


def test_what_was_done_stands_in_the_audit_log_of_its_tenant(call: Call) -> None:
    call("ann", "POST", "/v1/registrations", 201, json={"podcasts": [{"url": URL}]})
    call("ann", "POST", "/v1/registrations", 200, json={"podcasts": [{"url": URL}]})  # nothing new
    call("ann", "DELETE", f"/v1/registrations/{podcast_key(URL)}")
    rows = call("ann", "GET", "/v1/audit")["data"]
    mine = [(row["action"], row["subject"]) for row in rows if row["action"].startswith("podcast")]
    assert mine == [("podcast.deregistered", str(podcast_key(URL))), ("podcasts.registered", "1 podcasts")]
    assert rows[0]["key_id"] is not None
    assert not any(row["action"].startswith("podcast") for row in call("bob", "GET", "/v1/audit")["data"])


def test_what_cannot_be_used_is_named(call: Call, client: TestClient, keys: dict[str, str]) -> None:
    path = "/v1/registrations"
    assert fields(call("ann", "POST", path, 422, json={"podcasts": []})) == ["podcasts"]
    assert fields(call("ann", "POST", path, 422, json={"podcasts": [{"url": "ftp://x"}]})) == ["podcasts.1"]
    assert fields(call("ann", "POST", path, 422, json={"podcasts": [{"link": URL}]})) == [
        "podcasts.0.url",
        "podcasts.0.link",
    ]
    assert fields(call("ann", "POST", path, 415, content="x", headers={"content-type": "image/png"})) == [
        "Content-Type"
    ]
    csv = {"content-type": "text/csv"}
    assert fields(call("ann", "POST", path, 422, content="no,such,columns\n", headers=csv)) == ["body"]
    assert fields(call("ann", "POST", path, 422, content="", headers=csv)) == ["body"]
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]><opml/>'
    call("ann", "POST", path, 422, content=bomb, headers={"content-type": "text/xml"})
    call("ann", "POST", path, 422, content="{", headers={"content-type": "application/json"})
    call("ann", "POST", path, 422, content=b"\xff\xfe", headers={"content-type": "application/json"})
    secret = call("ann", "POST", path, 422, json={"podcasts": [{"url": "https://me:pass@x.example/"}]})
    assert "pass" not in str(secret)
    call(None, "POST", path, 401, json={"podcasts": [{"url": URL}]})
    answer = client.get("/v1/registrations/x", headers=of(keys["ann"]))
    assert answer.status_code == 404


def test_errors_without_number_are_answered_shortly(call: Call) -> None:
    keys = {f"k{number}": "" for number in range(100)}
    podcasts = [{"url": "https://feeds.example/a.xml", **keys}] * 9_000
    problem = call("ann", "POST", "/v1/registrations", 422, json={"podcasts": podcasts})
    assert len(problem["errors"]) == 20 and problem["detail"].endswith("; and 80 more")
    long = call("ann", "POST", "/v1/registrations", 422, json={"podcasts": [{"k" * 500_000: ""}]})
    assert len(str(long)) < 10_000
    numbers = {"podcasts": list(range(9_000))}
    assert len(call("ann", "POST", "/v1/deregistrations", 422, json=numbers)["errors"]) == 1
