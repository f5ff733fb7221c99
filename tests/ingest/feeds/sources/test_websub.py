"""WebSub: what a hub is asked, what its visits are answered, whose delivery a body is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.sources.budget import Budget, Limits
from ingest.feeds.sources.calls import Calls, SourceReason, SourceUnavailable, guarded_client
from ingest.feeds.sources.notices import read_notices
from ingest.feeds.sources.websub import (
    LEASE_S,
    MAX_LEASE_S,
    MIN_LEASE_S,
    Mode,
    Outcome,
    Verification,
    budget_name,
    callback_token,
    envelope,
    is_signed,
    renew_at_us,
    request,
    subscription,
    verify,
)
from tests.ingest.feeds.sources.server import NOW_US, Clock, Page, Server, run

TOPIC = "https://a.example/feed?x=1&y=2"
MASTER = "a master secret of ours"
WANTED = subscription("https://hub.example/", TOPIC, -7, "https://us.example/websub/", MASTER)
ENDING = replace(WANTED, mode=Mode.UNSUBSCRIBE)


def ask(tmp_path: Path, server: Server, path: str = "/hub") -> None:
    run(tmp_path, lambda calls: request(calls, replace(WANTED, hub=server.url + path)))


def test_a_hub_is_asked_for_one_topic_with_a_secret_of_its_own(tmp_path: Path, server: Server) -> None:
    server.pages["/hub"] = Page(status=202)
    ask(tmp_path, server)
    (asked,) = server.asked
    assert asked.method == "POST" and asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.form == {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.callback": f"https://us.example/websub/-7/{callback_token(MASTER, -7, TOPIC)}",
        "hub.lease_seconds": str(LEASE_S),
        "hub.secret": WANTED.secret,
    }
    other = subscription("https://hub.example/", TOPIC, 8, "https://us.example/websub/", MASTER)
    assert len({WANTED.secret, other.secret, WANTED.callback, other.callback, MASTER}) == 5
    assert WANTED.secret not in repr(WANTED) and len(WANTED.secret) < 200  # §5.1


def test_every_hub_has_a_budget_of_its_own() -> None:
    assert budget_name("https://hub.example:8443/x") == "websub:hub.example"


def test_ending_a_subscription_sends_no_secret() -> None:
    assert set(ENDING.form()) == {"hub.mode", "hub.topic", "hub.callback"}


def test_a_redirect_that_keeps_the_method_is_followed(tmp_path: Path, server: Server) -> None:
    server.pages["/hub"] = Page(status=308, headers={"Location": "new?x=1"})
    server.pages["/new"] = Page(status=202)
    ask(tmp_path, server)
    assert [asked.path for asked in server.asked] == ["/hub", "/new"]
    assert server.asked[1].form == server.asked[0].form


@pytest.mark.parametrize(
    ("status", "to"), [(307, "/hub"), (302, "/new"), (307, "ftp://x/"), (307, "http://")]
)
def test_other_redirects_are_refused(tmp_path: Path, server: Server, status: int, to: str) -> None:
    server.pages["/hub"] = Page(status=status, headers={"Location": to})
    with pytest.raises(SourceUnavailable) as raised:
        ask(tmp_path, server)
    assert raised.value.reason == SourceReason.REFUSED
    assert len(server.asked) <= 4 and all(asked.path == "/hub" for asked in server.asked)


def test_a_hub_at_an_address_that_the_guard_refuses_is_not_reached(tmp_path: Path, server: Server) -> None:
    server.pages["/hub"] = Page(status=202)
    seen: list[str] = []

    def factory(address: Any) -> socket.socket:
        seen.append(address[4][0])
        if len(seen) == 1:
            raise OSError("a private address")
        return socket.socket(*address[:3])

    async def ask_guarded() -> None:
        budget = Budget(tmp_path / "budgets.json", "hub", Limits(10, 10))
        async with guarded_client("tests", factory) as http:
            await request(
                Calls("websub", http, budget, clock_us=Clock()), replace(WANTED, hub=server.url + "/hub")
            )

    with pytest.raises(SourceUnavailable) as raised:
        asyncio.run(ask_guarded())
    assert raised.value.reason == SourceReason.UNREACHABLE and "private" in raised.value.detail
    assert seen == ["127.0.0.1"] and not server.asked
    asyncio.run(ask_guarded())
    assert [asked.form["hub.topic"] for asked in server.asked] == [TOPIC]


def visit(mode: str, **more: str) -> dict[str, str]:
    return {"hub.mode": mode, "hub.topic": TOPIC, "hub.challenge": "c-1", **more}


def test_a_subscription_we_asked_for_is_confirmed_with_its_challenge() -> None:
    asked = visit("subscribe", **{"hub.lease_seconds": "86400"})
    assert verify(asked, WANTED) == Verification(Outcome.CONFIRMED, 200, "c-1", 86_400)
    assert verify(visit("unsubscribe"), ENDING) == Verification(Outcome.CONFIRMED, 200, "c-1")


@pytest.mark.parametrize(
    ("text", "lease_s"),
    [
        ("1", MIN_LEASE_S),
        ("9" * 18, MAX_LEASE_S),
        ("9" * 5000, MIN_LEASE_S),
        ("-5", MIN_LEASE_S),
        ("²", MIN_LEASE_S),
    ],
)
def test_a_lease_is_cut_to_what_is_reasonable(text: str, lease_s: int) -> None:
    assert verify(visit("subscribe", **{"hub.lease_seconds": text}), WANTED).lease_s == lease_s
    assert verify(visit("subscribe"), WANTED).lease_s == MIN_LEASE_S


@pytest.mark.parametrize(
    "query",
    [
        {},
        visit("unsubscribe"),
        visit("Subscribe"),
        visit("subscribe", **{"hub.topic": "https://b.example/"}),
        visit("subscribe", **{"hub.challenge": ""}),
        visit("subscribe", **{"hub.challenge": "x" * 1025}),
        visit("subscribe", **{"hub.challenge": "a\r\nSet-Cookie: b"}),
    ],
)
def test_what_we_did_not_ask_for_is_not_confirmed(query: dict[str, str]) -> None:
    assert verify(query, WANTED) == Verification(Outcome.NOT_OURS, 404)


def test_nothing_is_confirmed_where_we_asked_for_nothing() -> None:
    assert verify(visit("subscribe"), None).status == 404


def test_a_denial_is_kept_with_its_reason() -> None:
    found = verify(visit("denied", **{"hub.reason": "no\nmore" + "x" * 999}), WANTED)
    assert (found.outcome, found.status, found.body) == (Outcome.DENIED, 200, "")
    assert found.reason.startswith("nomore") and len(found.reason) <= 200


@given(
    body=st.binary(max_size=200),
    other=st.binary(max_size=200),
    method=st.sampled_from(["sha1", "sha256", "sha384", "sha512"]),
)
def test_a_body_is_genuine_with_its_own_signature_only(body: bytes, other: bytes, method: str) -> None:
    signature = f"{method}={hmac.new(b'secret', body, getattr(hashlib, method)).hexdigest()}"
    assert is_signed(body, signature, "secret") and is_signed(body, signature.upper(), "secret")
    assert is_signed(other, signature, "secret") == (other == body)
    assert not is_signed(body, signature, "Secret")


@given(st.one_of(st.none(), st.text(max_size=60), st.text(max_size=60).map("sha256=".__add__)))
def test_no_other_header_makes_a_body_genuine(header: str | None) -> None:
    assert not is_signed(b"body", header, "secret")


@pytest.mark.parametrize("method", ["md5", "sha224", "sha3_256", "blake2b", ""])
def test_only_the_methods_of_the_recommendation_count(method: str) -> None:
    digest = hmac.new(b"secret", b"body", method or "sha256").hexdigest()
    assert not is_signed(b"body", f"{method}={digest}", "secret")


@given(st.integers(MIN_LEASE_S, MAX_LEASE_S))
def test_a_subscription_is_renewed_before_its_lease_ends(lease_s: int) -> None:
    assert NOW_US < renew_at_us(NOW_US, lease_s) < NOW_US + lease_s * 1_000_000


@pytest.mark.parametrize(("is_genuine", "hints"), [(True, 1), (None, 1), (False, 0)])
def test_a_delivery_becomes_a_hint_of_its_podcast_unless_its_signature_is_wrong(
    is_genuine: bool | None, hints: int
) -> None:
    line = envelope(-7, TOPIC, "https://hub.example/", NOW_US - 5_000_000, "application/rss+xml", is_genuine)
    found = read_notices(line, "websub", "x.jsonl", NOW_US, NOW_US)
    assert [(h.podcast_key, h.feed_url, h.noticed_us) for h in found.hints] == [
        (-7, TOPIC, NOW_US - 5_000_000)
    ][:hints]
    assert found.rejected == 1 - hints
