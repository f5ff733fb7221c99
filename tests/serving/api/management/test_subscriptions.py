"""Subscriptions, deliveries and replays over HTTP, with real endpoints."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from registry.podcasts import register
from registry.registration import registration
from registry.subscriptions import get, listing
from registry.tables import DeliveryState, SubscriptionState
from serving.api.app import create_app
from serving.api.core import Core
from tests.e2e.webhooks.endpoints import endpoint, token
from tests.registry import webhook_rows
from tests.serving.api.conftest import NOW_US, of, settings_of
from tests.serving.api.management.conftest import Call, fields

SECRET = webhook_rows.SECRET


@pytest.fixture
def client(data: Path) -> Iterator[TestClient]:
    """As everywhere, but endpoints on this machine are allowed."""
    platform = settings_of(data).platform.model_copy(update={"webhook_test_hosts": "127.0.0.1"})
    app = create_app(settings_of(data).model_copy(update={"platform": platform}))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def engine(core: Core) -> Engine:
    return core.engine


@pytest.fixture
def hook() -> Iterator[str]:
    """An endpoint that takes everything."""
    with endpoint(lambda body: (200, token(body).encode()) if b"challenge" in body else (204, b"")) as (
        url,
        _,
    ):
        yield url


def test_an_endpoint_is_asked_and_its_secret_shown_once(call: Call, engine: Engine, hook: str) -> None:
    made = call("ann", "POST", "/v1/subscriptions", 201, json={"url": hook, "types": ["episode.created"]})
    assert made["is_new"]
    number = made["subscription_id"]
    assert made["secret"] == get(engine, number).secret
    again = call("ann", "POST", "/v1/subscriptions", 200, json={"url": hook, "types": ["episode.created"]})
    assert (again["subscription_id"], again["is_new"], again["secret"]) == (number, False, None)
    for path in ("/v1/subscriptions", f"/v1/subscriptions/{number}", "/v1/audit"):
        assert made["secret"] not in str(call("ann", "GET", path))
    other = call(
        "ann",
        "POST",
        "/v1/subscriptions",
        409,
        json={"url": hook, "types": ["episode.created"], "secret": SECRET},
    )
    assert fields(other) == ["secret"]


def test_the_same_asked_for_many_times_at_once_is_one_subscription(
    client: TestClient, keys: dict[str, str], engine: Engine, hook: str
) -> None:
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        answer = client.post("/v1/subscriptions", headers=of(keys["ann"]), json={"url": hook})
        answers.append(answer.json())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["subscription_id"] for answer in answers}) == 1
    assert [answer["is_new"] for answer in answers].count(True) == 1
    assert len(listing(engine, "ann")) == 1


def test_an_endpoint_that_does_not_answer_the_challenge_is_not_stored(call: Call, engine: Engine) -> None:
    with endpoint(lambda _: (204, b"")) as (url, got):
        refused = call("ann", "POST", "/v1/subscriptions", 422, json={"url": url})
    assert fields(refused) == ["url"]
    assert len(got) == 1
    assert listing(engine, "ann") == []


def test_a_private_address_is_not_called(data: Path, keys: dict[str, str], engine: Engine) -> None:
    with TestClient(create_app(settings_of(data))) as strict:
        for url in (
            "http://127.0.0.1:9/",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "file:///etc/passwd",
        ):
            answer = strict.post("/v1/subscriptions", headers=of(keys["ann"]), json={"url": url})
            assert answer.status_code == 422, url
            assert fields(answer.json()) == ["url"]
        # A name is not to tell what it means within our network.
        named = strict.post("/v1/subscriptions", headers=of(keys["ann"]), json={"url": "http://localhost:9/"})
        assert named.status_code == 422 and named.json()["detail"].endswith("localhost: not a public address")
        assert "127.0.0.1" not in named.text and "::1" not in named.text
    assert listing(engine, "ann") == []


def test_a_test_event_tells_what_the_endpoint_answered(call: Call, hook: str) -> None:
    number = call("ann", "POST", "/v1/subscriptions", 201, json={"url": hook})["subscription_id"]
    said = call("ann", "POST", f"/v1/subscriptions/{number}/test", json={})
    assert (said["is_success"], said["status"]) == (True, 204)
    wrong = call("ann", "POST", f"/v1/subscriptions/{number}/test", 422, json={"type": "no.such"})
    assert fields(wrong) == ["type"]


def test_a_secret_is_turned_over(call: Call, engine: Engine, hook: str) -> None:
    made = call("ann", "POST", "/v1/subscriptions", 201, json={"url": hook})
    path = f"/v1/subscriptions/{made['subscription_id']}/rotate-secret"
    turned = call("ann", "POST", path, json={"secret": SECRET})
    assert turned["secret"] == SECRET
    assert call("ann", "POST", path, json={"secret": SECRET}) == turned
    assert get(engine, made["subscription_id"]).previous_secret == made["secret"]
    refused = call("ann", "POST", path, 422, json={"secret": "whsec_short"})
    assert fields(refused) == ["secret"]
    assert "whsec_short" not in str(refused)


def test_a_disabled_endpoint_is_asked_before_it_goes_on(call: Call, engine: Engine) -> None:
    with endpoint(lambda body: (200, token(body).encode())) as (url, got):
        number = webhook_rows.endpoint(engine, tenant="ann", url=url, state=SubscriptionState.DISABLED)
        said = call("ann", "POST", f"/v1/subscriptions/{number}/resume")
        assert (said["state"], len(got)) == ("active", 1)
    number = webhook_rows.endpoint(engine, tenant="ann", url=url, state=SubscriptionState.DISABLED)
    call("ann", "POST", f"/v1/subscriptions/{number}/resume", 422)  # it is gone by now
    assert get(engine, number).state is SubscriptionState.DISABLED


def test_an_ended_subscription_stays_ended(call: Call, engine: Engine) -> None:
    number = webhook_rows.endpoint(engine, tenant="ann")
    assert call("ann", "DELETE", f"/v1/subscriptions/{number}")["state"] == "ended"
    assert call("ann", "DELETE", f"/v1/subscriptions/{number}")["state"] == "ended"
    assert call("ann", "GET", "/v1/subscriptions")["data"] == []
    assert len(call("ann", "GET", "/v1/subscriptions?with_ended=true")["data"]) == 1
    for action, body in (
        ("rotate-secret", {}),
        ("resume", None),
        ("test", {}),
        ("replay", {"message_ids": ["m"]}),
    ):
        call("ann", "POST", f"/v1/subscriptions/{number}/{action}", 409, json=body)


def test_deliveries_are_listed_shown_and_replayed(call: Call, engine: Engine) -> None:
    number = webhook_rows.endpoint(engine, tenant="ann")
    for index in range(5):
        state = DeliveryState.DEAD if index == 4 else DeliveryState.SENT
        webhook_rows.delivery(engine, number, f"msg_{index}", created_us=NOW_US, state=state, ended_us=NOW_US)
    path = f"/v1/subscriptions/{number}"
    found, cursor = [], ""
    while True:
        page = call("ann", "GET", f"{path}/deliveries?limit=2{cursor}")
        found += [row["message_id"] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == ["msg_4", "msg_3", "msg_2", "msg_1", "msg_0"]
    assert [row["message_id"] for row in call("ann", "GET", f"{path}/deliveries?state=dead")["data"]] == [
        "msg_4"
    ]
    assert call("ann", "GET", f"{path}/deliveries/msg_1")["log"] == []
    call("ann", "GET", f"{path}/deliveries/msg_9", 404)
    wanted = {"failed_since": "2020-01-01T00:00:00Z"}
    assert call("ann", "POST", f"{path}/replay", json=wanted | {"dry_run": True})["queued"] == 1
    assert call("ann", "POST", f"{path}/replay", json=wanted)["queued"] == 1
    assert call("ann", "POST", f"{path}/replay", json=wanted)["queued"] == 0  # it waits by now
    said = call("ann", "POST", f"{path}/replay", json={"message_ids": ["msg_0", "other"]})
    assert (said["queued"], said["unknown"]) == (1, ["other"])
    for body in ({}, wanted | {"message_ids": ["msg_0"]}, {"to": "2026-01-01T00:00:00Z"}):
        call("ann", "POST", f"{path}/replay", 422, json=body)


def test_another_tenants_subscriptions_are_not_there(call: Call, engine: Engine, hook: str) -> None:
    number = webhook_rows.endpoint(engine, tenant="bob", url=hook)
    webhook_rows.delivery(
        engine, number, "msg_bob", created_us=NOW_US, state=DeliveryState.DEAD, ended_us=NOW_US
    )
    mine = webhook_rows.endpoint(engine, tenant="ann", url=hook)
    path = f"/v1/subscriptions/{number}"
    attempts: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("DELETE", path, None),
        ("POST", f"{path}/rotate-secret", {"secret": SECRET}),
        ("POST", f"{path}/resume", None),
        ("POST", f"{path}/test", {}),
        ("GET", f"{path}/deliveries", None),
        ("GET", f"{path}/deliveries/msg_bob", None),
        ("POST", f"{path}/replay", {"message_ids": ["msg_bob"]}),
    ]
    for method, where, body in attempts:
        foreign = call("ann", method, where, 404, json=body)
        missing = call("ann", method, where.replace(f"/{number}", "/987654"), 404, json=body)
        assert foreign == missing
    said = call("ann", "POST", f"/v1/subscriptions/{mine}/replay", json={"message_ids": ["msg_bob"]})
    assert (said["queued"], said["unknown"]) == (0, ["msg_bob"])
    assert [row["subscription_id"] for row in call("ann", "GET", "/v1/subscriptions")["data"]] == [mine]
    assert call("operator", "GET", f"{path}?tenant=bob")["subscription_id"] == number


def test_what_cannot_be_subscribed_to_is_named(call: Call, engine: Engine, hook: str) -> None:
    url = "https://feeds.example/bobs.xml"
    register(engine, [registration(url, "bob")], NOW_US)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"url": "nonsense"}, "url"),
        ({"url": "https://me:pass@x.example/"}, "url"),
        ({"types": ["podcast.eaten"]}, "types"),
        ({"podcasts": [url]}, "podcasts"),
        ({"podcasts": ["a\0b"]}, "podcasts"),
        ({"labels": ["with space"]}, "labels"),
        ({"fields": ["password"]}, "fields"),
        ({"cron": "* * *"}, "cron"),
        ({"time_zone": "UTC"}, "time_zone"),
        ({"cron": "0 7 * * *", "time_zone": "../etc/passwd"}, "time_zone"),
        ({"batch_size": 5}, "batch_size"),
        ({"coalesce_s": -1}, "coalesce_s"),
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"secret": "short"}, "secret"),
        ({"colour": "red"}, "colour"),
    ]
    for body, field in wrong:
        assert fields(call("ann", "POST", "/v1/subscriptions", 422, json={"url": hook, **body})) == [field], (
            body
        )
