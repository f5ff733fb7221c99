"""Hints over HTTP: what comes in pulls polls forward, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry import hubs
from registry.api_keys import Scope, create
from registry.asking_hubs import ask_hubs
from registry.hints import pending
from registry.noticed import take_notices
from registry.podcasts import deregister, register
from registry.registration import registration
from registry.tables import HubState
from serving.api.core import Core
from tests.ingest.feeds.sources.server import Asked, Page, Server
from tests.serving.api.conftest import NOW_US, of
from tests.serving.metadata.lake import commit, lake, podcast

URL = "https://feeds.example/show.xml"
TOPIC = "https://feeds.example/self.xml"
KEY = podcast_key(URL)
LATER_US = 10_000_000  # by then every file has settled
SECRET_ENV, SECRET = "TEST_WEBSUB_SECRET", "a secret of sixteen and more"
SOURCES = f"""[websub]
callback = "http://127.0.0.1:9/v1/hints/websub"
secret_env = "{SECRET_ENV}"
"""


@pytest.fixture
def installation(core: Core) -> Settings:
    """A podcast that is tracked."""
    register(core.engine, [registration(URL, "ann")], NOW_US)
    core.refresh()
    return core.settings.platform


@pytest.fixture
def watcher(core: Core, keys: dict[str, str]) -> dict[str, str]:
    """The header of a key that may only tell of changes."""
    key, _ = create(core.engine, NOW_US, "ann", [Scope.HINTS])
    core.refresh()
    return of(key)


def taken(settings: Settings, core: Core) -> list[tuple[int, str]]:
    """(podcast, source) of the hints that wait, once the files are taken in."""
    take_notices(settings, clock=lambda: utc_now_us() + LATER_US)
    return [(hint.podcast_key, hint.source) for hint in pending(core.engine, range(256))]


def test_a_podping_becomes_a_hint(
    client: TestClient, installation: Settings, core: Core, watcher: dict[str, str]
) -> None:
    said = {"version": "1.1", "iris": [URL, "https://nobody.example/x.xml", "nonsense"]}
    answer = client.post("/v1/hints/podping", headers=watcher, json=said)
    assert (answer.status_code, answer.json()["hints"], answer.json()["rejected"]) == (202, 2, 1)
    assert answer.json()["rejects"][0]["reason"] == "bad_url"
    assert taken(installation, core) == [(KEY, "podping")]


def test_podpings_come_a_line_each_too(
    client: TestClient, installation: Settings, core: Core, watcher: dict[str, str]
) -> None:
    lines = f'{{"iris": ["{URL}"]}}\nnot json\n{{"url": "{URL}"}}\n'
    headers = {**watcher, "content-type": "application/x-ndjson"}
    answer = client.post("/v1/hints/podping", headers=headers, content=lines)
    assert (answer.json()["hints"], answer.json()["rejects"][0]["line"]) == (2, 2)
    assert taken(installation, core) == [(KEY, "podping")]


def test_only_a_key_with_the_scope_may_tell_and_only_of_feeds(
    client: TestClient, installation: Settings, watcher: dict[str, str], keys: dict[str, str]
) -> None:
    said = {"iris": [URL]}
    assert client.post("/v1/hints/podping", json=said).status_code == 401
    assert client.post("/v1/hints/podping", json=said, headers=of(keys["ann"])).status_code == 403
    for wrong in ({}, {"iris": []}, {"iris": ["x"]}, [], {"iris": 5}):
        assert client.post("/v1/hints/podping", json=wrong, headers=watcher).status_code == 422, wrong
    headers = {**watcher, "content-type": "text/plain"}
    assert client.post("/v1/hints/podping", content="x", headers=headers).status_code == 415
    assert client.get("/v1/podcasts", headers=watcher).json()["data"] == []  # it may not read
    assert not installation.hints_dir.exists()


def test_podpings_that_are_switched_off_are_refused(
    client: TestClient, installation: Settings, watcher: dict[str, str]
) -> None:
    (installation.data / "feed_sources.toml").write_text("[podping]\non = false\n")
    answer = client.post("/v1/hints/podping", json={"iris": [URL]}, headers=watcher)
    assert answer.status_code == 409


# --- WebSub


@pytest.fixture
def hub() -> Server:
    server = Server()
    server.pages["/hub"] = Page(status=202)
    return server


@pytest.fixture
def asked(hub: Server, installation: Settings, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the hub was asked by a pass; the feed names it."""
    monkeypatch.setenv(SECRET_ENV, SECRET)
    (installation.data / "feed_sources.toml").write_text(SOURCES)
    root = lake(installation.lake_dir)
    commit(root, KEY, podcasts=[podcast(KEY, "A show", hub_url=f"{hub.url}/hub", self_url=TOPIC)])
    done = ask_hubs(installation.model_copy(update={"feed_test_hosts": "127.0.0.1"}), 30)
    assert (done.wanted, done.asked, done.failed) == (1, 1, 0), done
    (asked,) = hub.asked
    hub.close()
    return asked


def callback(asked: Asked) -> str:
    return urlsplit(asked.form["hub.callback"]).path


def verification(asked: Asked, **more: str) -> dict[str, str]:
    form = asked.form
    said = {"hub.mode": "subscribe", "hub.topic": form["hub.topic"], "hub.challenge": "prove it"}
    return said | {"hub.lease_seconds": "864000"} | more


def signed(asked: Asked, body: bytes) -> dict[str, str]:
    digest = hmac.new(asked.form["hub.secret"].encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature": f"sha256={digest}", "content-type": "application/rss+xml"}


def test_a_hub_is_asked_verifies_and_delivers(
    client: TestClient, core: Core, installation: Settings, asked: Asked
) -> None:
    assert asked.form["hub.topic"] == TOPIC
    assert callback(asked).startswith(f"/v1/hints/websub/{KEY}/")
    answer = client.get(callback(asked), params=verification(asked, **{"hub.own": "x"}))
    assert (answer.status_code, answer.text) == (200, "prove it")
    assert answer.headers["content-type"].startswith("text/plain")
    known = hubs.find(core.engine, KEY)
    assert known is not None
    assert (known.state, known.lease_s) == (HubState.ACTIVE, 864_000)
    body = b"<rss>whatever</rss>"
    assert client.post(callback(asked), content=body, headers=signed(asked, body)).status_code == 202
    assert taken(installation, core) == [(KEY, "websub")]


def test_a_delivery_with_a_wrong_signature_is_no_hint_but_is_told_to_the_team(
    client: TestClient, core: Core, installation: Settings, asked: Asked
) -> None:
    for headers in ({}, signed(asked, b"another body"), {"x-hub-signature": "md5=00"}):
        assert client.post(callback(asked), content=b"body", headers=headers).status_code == 202
    result = take_notices(installation, clock=lambda: utc_now_us() + LATER_US)
    assert {str(reject.reason) for _, reject in result.rejects} == {"not_signed"}
    assert taken(installation, core) == []


def test_a_flood_of_deliveries_leaves_few_files(
    client: TestClient, installation: Settings, asked: Asked
) -> None:
    for _ in range(30):
        client.post(callback(asked), content=b"x", headers=signed(asked, b"x"))
    assert 1 <= len(list((installation.hints_dir / "websub").glob("*.jsonl"))) <= 4


def test_who_does_not_know_the_token_is_told_that_there_is_nothing(
    client: TestClient, core: Core, installation: Settings, asked: Asked
) -> None:
    path, token = callback(asked).rsplit("/", 1)
    wrong = [f"{path}/{'0' * len(token)}", f"{path}/x", f"/v1/hints/websub/5/{token}", "/v1/hints/websub/x/y"]
    said = []
    for where in wrong:
        for answer in (client.get(where, params=verification(asked)), client.post(where, content=b"x")):
            assert answer.status_code == 404, where
            said.append(answer.content)
    assert len(set(said)) == 1
    known = hubs.find(core.engine, KEY)
    assert known is not None and known.state is HubState.ASKED
    assert not (installation.hints_dir / "websub").exists()


def test_what_was_not_asked_for_is_not_confirmed(client: TestClient, core: Core, asked: Asked) -> None:
    for more in ({"hub.topic": "https://other.example/"}, {"hub.mode": "unsubscribe"}, {"hub.challenge": ""}):
        assert client.get(callback(asked), params=verification(asked, **more)).status_code == 404
    known = hubs.find(core.engine, KEY)
    assert known is not None and known.state is HubState.ASKED


def test_a_hub_that_denies_is_left_alone_for_a_week(client: TestClient, core: Core, asked: Asked) -> None:
    said = {"hub.mode": "denied", "hub.topic": TOPIC, "hub.reason": "no room"}
    assert client.get(callback(asked), params=said).status_code == 200
    known = hubs.find(core.engine, KEY)
    assert known is not None
    assert (known.state, known.reason) == (HubState.DENIED, "no room")
    assert known.next_us > utc_now_us() + 6 * 86_400_000_000


def test_of_a_podcast_that_nobody_tracks_the_hub_is_told_so(
    client: TestClient, core: Core, installation: Settings, asked: Asked
) -> None:
    client.get(callback(asked), params=verification(asked))
    deregister(core.engine, [KEY], "ann", "left")
    assert ask_hubs(installation, 30).forgotten == 1
    assert client.get(callback(asked), params=verification(asked)).status_code == 404


def test_without_the_setting_no_hub_is_asked_and_no_callback_is_there(
    client: TestClient, installation: Settings, tmp_path: Path
) -> None:
    assert ask_hubs(installation, 30).wanted == 0
    assert client.get(f"/v1/hints/websub/{KEY}/token").status_code == 404
