"""A new endpoint is asked whether it wants webhooks; test events go out at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from standardwebhooks import Webhook

from ingest.lake import utc_now_us
from registry.subscribing import BadSubscription
from serving.webhooks import challenge as challenges
from serving.webhooks.catalogue import types
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.payload import MESSAGE
from serving.webhooks.send import Sender
from tests.ingest.feeds.raw_server import Handler, RawRequest, RawServer, always, answer
from tests.serving.webhooks.sending import LOCAL, with_server

SECRET = "whsec_bm90IGEgc2VjcmV0LCBvZiBjb3Vyc2U="


def saying(answer_to: Callable[[str, bytes], bytes], status: int = 200) -> Handler:
    """Answers a challenge with what `answer_to` makes of the token and of the whole request."""

    async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        token = json.loads(request.body)["data"]["challenge"]
        writer.write(answer(status, body=answer_to(token, request.body)))

    return handle


def challenged(handler: Handler) -> list[RawRequest]:
    async def go(server: RawServer, sender: Sender) -> list[RawRequest]:
        await challenges.challenge(sender, server.url("/hook"), SECRET, utc_now_us())
        return server.requests

    return with_server(handler, go)


@pytest.mark.parametrize(
    "answer_to",
    [
        lambda token, _: json.dumps({"challenge": token}).encode(),
        lambda token, _: json.dumps({"ok": True, "challenge": token}, indent=2).encode(),
        lambda token, _: token.encode(),
        lambda token, _: f"  {token}\r\n".encode(),
        lambda token, _: json.dumps(token).encode(),
    ],
    ids=["json", "more json", "plain", "padded", "json text"],
)
def test_an_endpoint_that_answers_with_the_token_is_taken(answer_to: Callable[[str, bytes], bytes]) -> None:
    [request] = challenged(saying(answer_to))
    signed = {name: value.decode() for name, value in request.headers.items()}
    payload = Webhook(SECRET).verify(request.body, signed)
    assert payload["type"] == "webhook.challenge"
    assert signed["webhook-id"].startswith("ntc_")


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (always(answer(204)), "its answer was empty"),
        (always(answer(200, body=b"ok")), "it said 'ok'"),
        (always(answer(200, body=b'{"challenge":"x"}')), "with its token"),
        (always(answer(200, body=b'{"challenge":null}')), "with its token"),
        (always(answer(200, body=b"[" * 1000)), "with its token"),
        (saying(lambda token, body: body), "with its token"),  # an echo
        (saying(lambda token, body: b" " * 1000 + token.encode()), "its answer was empty"),
        (saying(lambda token, body: token[:-1].encode()), "with its token"),
        (saying(lambda token, body: token.encode(), status=404), "404 Not Found"),
        (always(answer(401)), "does it know the secret that signs?"),
        (always(answer(403)), "does it know the secret that signs?"),
        (saying(lambda token, body: token.encode(), status=302), "redirects are not followed"),
        (always(b"junk\r\n\r\n"), "did not take our challenge: "),
    ],
)
def test_a_challenge_answered_wrongly_refuses_the_url(handler: Handler, said: str) -> None:
    with pytest.raises(BadSubscription, match=r"^url: the endpoint did not ") as refused:
        challenged(handler)
    assert refused.value.field == "url"
    assert said in str(refused.value)


def test_a_private_endpoint_is_refused_before_anything_is_sent() -> None:
    async def go() -> int:
        async with RawServer(always(answer(200))) as server, Sender() as sender:
            with pytest.raises(BadSubscription, match=r"^url: .*localhost: not a public address$"):
                await challenges.challenge(sender, f"http://localhost:{server.port}/", SECRET, utc_now_us())
            return server.connections

    assert asyncio.run(go()) == 0


@dataclass(frozen=True)
class Endpoint:
    """What test events need of a subscription."""

    url: str

    def secrets(self, now_us: int) -> tuple[str, ...]:
        return (SECRET, SECRET)


@pytest.mark.parametrize("type", types())
def test_a_test_event_is_an_example_of_its_type_under_an_id_of_its_own(type: str) -> None:
    async def go(server: RawServer, sender: Sender) -> tuple[Result, RawRequest]:
        result = await challenges.test_event(sender, Endpoint(server.url()), type, utc_now_us())
        await challenges.test_event(sender, Endpoint(server.url()), type, utc_now_us(), "test_mine")
        assert server.requests[1].headers["webhook-id"] == b"test_mine"
        return result, server.requests[0]

    result, request = with_server(always(answer(202, body=b"taken")), go)
    assert (result.outcome, result.status, result.answer) == (Outcome.SENT, 202, "taken")
    signed: dict[str, Any] = {name: value.decode() for name, value in request.headers.items()}
    assert signed["webhook-id"].startswith("test_")
    assert Webhook(SECRET).verify(request.body, signed)["type"] == type
    MESSAGE.validate_json(request.body)


def test_a_test_event_of_an_unknown_type_is_an_error() -> None:
    async def go(server: RawServer, sender: Sender) -> None:
        await challenges.test_event(sender, Endpoint(server.url()), "episode.exploded", utc_now_us())

    with pytest.raises(ValueError, match=r"'episode\.exploded' is no type; known are podcast\.updated"):
        with_server(always(answer(200)), go, LOCAL)
