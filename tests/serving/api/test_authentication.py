"""Keys and sessions: what makes a caller, what is refused, and what ends at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from registry.api_keys import Scope, create, keys, revoke
from registry.show_access import Subject, close, withdraw
from serving.api import sessions
from serving.api.access import LOOK_S
from serving.api.core import Core
from serving.api.sessions import Session, issue
from serving.api.signing import load_secret
from tests.serving.api.conftest import NOW_US, SHOWS, of

HOUR_US = 3_600_000_000


def ids(client: TestClient, **headers: str) -> list[str]:
    answer = client.get("/v1/shows", headers=headers)
    assert answer.status_code == 200, answer.text
    return [row["show_id"] for row in answer.json()["data"]]


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Basic YTpi", "es_x", "Bearer es_short", "Bearer es_" + "A" * 43,
        "Bearer es_" + "é" * 43, "Bearer es_" + "A" * 5000, "Bearer ' or 1=1 --", "Bearer a b",
    ],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_not_ignored(client: TestClient, header: str) -> None:
    answer = client.get("/v1/shows", headers={"authorization": header.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["field"] == "Authorization"


def test_a_revoked_or_expired_key_is_refused(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    ends_us = time.time_ns() // 1000 + 300_000
    short, _ = create(core.engine, NOW_US, "ann", [Scope.READ], expires_us=ends_us)
    core.refresh()
    assert client.get("/v1/shows", headers=of(short)).status_code == 200
    time.sleep(max(0, ends_us / 1e6 - time.time()) + 0.01)
    assert client.get("/v1/shows", headers=of(short)).status_code == 401
    assert client.get("/v1/shows", headers=of(keys["bob"])).status_code == 200
    revoke(core.engine, NOW_US, 2)
    core.refresh()
    assert client.get("/v1/shows", headers=of(keys["bob"])).status_code == 401


def test_a_key_that_was_made_just_now_is_known(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    for _ in range(2):  # the second within the time in which nobody looks again
        key, _ = create(core.engine, NOW_US, "ann", [Scope.READ])
        assert client.get("/v1/shows", headers=of(key)).status_code == 200
    other, _ = create(core.engine, NOW_US, "ann", [Scope.READ])
    assert client.post("/session", data={"key": other}, follow_redirects=False).status_code == 303


def test_who_guesses_keys_has_the_registry_asked_seldom(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    asked: list[str] = []
    event.listen(core.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    began = time.monotonic()

    def guess(number: int) -> int:
        return client.get("/v1/shows", headers=of(f"es_{number:043}")).status_code

    with ThreadPoolExecutor(8) as guessers:
        assert set(guessers.map(guess, range(24))) == {401}
    looks = sum("access_revisions" in sql for sql in asked)
    assert 1 <= looks <= (time.monotonic() - began) / LOOK_S + 1
    asked.clear()
    assert client.get("/v1/shows", headers={"authorization": "Bearer es_short"}).status_code == 401
    assert asked == []


def test_access_that_is_taken_back_ends_with_the_answers_in_memory(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    tag = client.get("/v1/shows", headers=of(keys["ann"])).headers["etag"]
    withdraw(core.engine, NOW_US, "ann", ["ann-1"])
    close(core.engine, NOW_US, SHOWS["nobody"], list(Subject))
    core.refresh()
    answer = client.get("/v1/shows", headers={**of(keys["ann"]), "if-none-match": tag})
    assert [row["show_id"] for row in answer.json()["data"]] == ["ann-2"]


def test_a_key_without_the_scope_to_read_reads_what_is_open(client: TestClient, core: Core) -> None:
    key, _ = create(core.engine, NOW_US, "ann", [Scope.HINTS])
    core.refresh()
    assert ids(client, **of(key)) == []


def test_the_last_day_of_use_is_noted(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    client.get("/v1/shows", headers=of(keys["ann"]))
    core.pool.shutdown()  # waits for what was put in
    used = {key.tenant: key.used_us for key in keys_in(core)}
    assert used["ann"] is not None and used["bob"] is None


def keys_in(core: Core) -> list[object]:
    return keys(core.engine)  # type: ignore[return-value]


def session(core: Core, **of_whom: object) -> dict[str, str]:
    until = {"until_us": time.time_ns() // 1000 + HOUR_US}
    return {"cookie": f"a=b; {sessions.COOKIE}={issue(core.secret, Session(**until | of_whom))}"}  # type: ignore[arg-type]


def test_a_session_of_a_key_is_its_tenant_while_the_key_is_valid(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    cookie = session(core, key_id=1)
    assert ids(client, **cookie) == [*SHOWS["ann"], "open-1"]
    assert ids(client, **session(core, key_id=1, until_us=1)) == ["open-1"]
    revoke(core.engine, NOW_US, 1)
    core.refresh()
    assert ids(client, **cookie) == ["open-1"]


def test_a_link_shows_one_show_while_it_is_the_tenants(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    link = session(core, tenant="ann", show_id="ann-1")
    assert ids(client, **link) == ["ann-1", "open-1"]
    assert ids(client, **session(core, tenant="ann", show_id="bob-1")) == ["open-1"]
    withdraw(core.engine, NOW_US, "ann", ["ann-1"])
    core.refresh()
    assert ids(client, **link) == ["open-1"]


def test_a_forged_session_is_nobodys(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    good = issue(core.secret, Session(time.time_ns() // 1000 + HOUR_US, key_id=1))
    for text in (issue(b"x" * 32, Session(2**60, key_id=1)), good[:-2] + "AA", "A" * 40, "", "A" * 4000):
        assert ids(client, cookie=f"{sessions.COOKIE}={text}") == ["open-1"]


def test_a_session_changes_nothing(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    # Another site can make a browser post with the cookie.
    answer = client.post("/v1/shows", headers=session(core, key_id=1))
    assert answer.status_code in (401, 405)


def test_processes_share_one_secret(tmp_path: Path) -> None:
    first = load_secret(None, tmp_path)
    assert load_secret(None, tmp_path) == first and len(first) == 32
    assert (tmp_path / "api.secret").stat().st_mode & 0o77 == 0
    assert load_secret("given", tmp_path) != first
