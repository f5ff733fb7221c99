"""One POST: what arrives, what counts as success, and where no request is made."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.send import Sender, SendSettings
from tests.ingest.feeds.raw_server import RawRequest, RawServer, always, answer, certificate, once
from tests.serving.webhooks.sending import BODY, LOCAL, posted, with_server

GUARDED = replace(LOCAL, test_hosts=frozenset())


def test_the_request_is_the_body_and_the_headers_given() -> None:
    async def go(server: RawServer, sender: Sender) -> RawRequest:
        headers = {"webhook-id": "evt_1", "content-type": "application/json"}
        assert (await sender.post(server.url("/hook?a=1"), BODY, headers)).is_success
        return server.requests[0]

    request = with_server(always(answer(204)), go, replace(LOCAL, contact="https://example.com/who"))
    assert (request.target, request.body) == ("/hook?a=1", BODY)
    assert request.headers["webhook-id"] == b"evt_1"
    assert request.headers["content-type"] == b"application/json"
    assert request.headers["content-length"] == str(len(BODY)).encode()
    assert request.headers["accept-encoding"] == b"identity"
    assert request.headers["user-agent"].startswith(b"Earshot/")
    assert b"webhooks; https://example.com/who" in request.headers["user-agent"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.SENT),
        (202, Outcome.SENT),
        (204, Outcome.SENT),
        (226, Outcome.SENT),
        (300, Outcome.REDIRECTED),
        (304, Outcome.REDIRECTED),
        (400, Outcome.REFUSED),
        (401, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (410, Outcome.GONE),
        (418, Outcome.REFUSED),
        (429, Outcome.BUSY),
        (500, Outcome.SERVER_ERROR),
        (502, Outcome.SERVER_ERROR),
        (503, Outcome.BUSY),
    ],
)
def test_only_2xx_is_success(status: int, outcome: Outcome) -> None:
    result = posted(always(answer(status)))
    assert (result.outcome, result.status, result.is_success) == (outcome, status, status < 300)
    assert result.detail.startswith(str(status))


def test_a_status_of_no_class_is_unexpected() -> None:
    for head in (b"HTTP/1.1 999 Odd", b"HTTP/1.1 600 Odd", b"HTTP/1.1 101 Switching Protocols"):
        result = posted(once(head + b"\r\nContent-Length: 0\r\n\r\n"))
        assert result.outcome is Outcome.UNEXPECTED_STATUS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_failures_and_not_followed(status: int) -> None:
    async def go(server: RawServer, sender: Sender) -> tuple[Result, int]:
        return await sender.post(server.url("/hook"), BODY, {}), len(server.requests)

    result, requests = with_server(always(answer(status, ("Location", "http://u:p@b.example/x"))), go)
    assert (result.outcome, requests) == (Outcome.REDIRECTED, 1)
    assert "to b.example;" in result.detail


def test_the_first_thousand_bytes_of_the_answer_are_kept_in_printable_form() -> None:
    body = b"bad\x00 \x1b[31mred\r\n\xff " + "ä\u202e".encode() + b"x" * 5000
    result = posted(always(answer(500, body=body)))
    assert result.answer.startswith("bad\ufffd \ufffd[31mred  \ufffd ä\ufffdxxx")
    assert len(body[:1000].decode("utf-8", "replace")) == len(result.answer)
    assert result.answer.isprintable()


def test_a_long_answer_costs_its_connection() -> None:
    for size, connections in ((1000, 1), (1_000_000, 2)):

        async def go(server: RawServer, sender: Sender) -> int:
            for _ in range(2):
                assert (await sender.post(server.url(), BODY, {})).is_success
            return server.connections

        assert with_server(always(answer(200, body=b"x" * size)), go) == connections


def test_letters_of_a_strangers_header_are_printable() -> None:
    location = b"http://b.example/\xff\x85\xe2\x80\xae"
    detail = posted(always(answer(302, ("Location", location)))).detail
    assert detail.isprintable()
    detail.encode()


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "120", 120),
        (503, "120", 120),
        (500, "7", 7),
        (429, "999999999", 86_400),
        (429, "-5", None),
        (429, "soon", None),
        (429, "Fri, 01 Jan 2100 00:00:00 GMT", 86_400),
        (429, "Fri, 01 Jan 1999 00:00:00 GMT", 0),
        (200, "120", None),
    ],
)
def test_retry_after_is_read_and_capped_at_a_day(status: int, value: str, seconds: int | None) -> None:
    assert posted(always(answer(status, ("Retry-After", value)))).retry_after_s == seconds


def test_a_closed_port_and_a_name_that_is_none() -> None:
    async def go(server: RawServer, sender: Sender) -> list[Result]:
        await server.__aexit__()
        return [await sender.post(url, BODY, {}) for url in (server.url(), "http://no-such-name.invalid/")]

    closed, nameless = with_server(always(b""), go)
    assert (closed.outcome, closed.status) == (Outcome.CONNECT, None)
    assert closed.detail.startswith("connection refused: nothing listens at 127.0.0.1, port ")
    assert (nameless.outcome, nameless.status) == (Outcome.DNS, None)
    assert nameless.detail.startswith("the name no-such-name.invalid ")
    assert "Errno" not in nameless.detail


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a.example/", "http://u:secret@a.example/", "http://", "http://0x7f.1/", "http://a:99999/"],
)
def test_what_is_no_url_is_not_sent(url: str) -> None:
    async def go(server: RawServer, sender: Sender) -> Result:
        return await sender.post(url, BODY, {})

    result = with_server(always(answer(200)), go)
    assert (result.outcome, result.status) == (Outcome.NOT_SENT, None)
    assert result.detail.startswith("url: ")
    assert "secret" not in result.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_this_machine_is_not_sent_to(host: str) -> None:
    async def go(server: RawServer, sender: Sender) -> tuple[Result, int]:
        return await sender.post(f"http://{host}:{server.port}/", BODY, {}), server.connections

    result, connections = with_server(always(answer(200)), go, GUARDED)
    assert (result.outcome, connections) == (Outcome.PRIVATE_ADDRESS, 0)
    assert result.detail.endswith(": not a public address")


class Fickle(AbstractResolver):
    """Answers from a list, the last one for ever."""

    def __init__(self, port: int, *answers: str) -> None:
        self.port, self.answers = port, list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=self.port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None: ...


def test_a_name_that_turns_private_after_the_check_is_refused_at_the_connection() -> None:
    # 127.0.0.1 stands for the public address (a test host), 127.0.0.2 for this machine's own services.
    async def go() -> list[Result]:
        async with RawServer(once(answer(200, ("Connection", "close")))) as server:
            resolver = Fickle(server.port, "127.0.0.1", "127.0.0.2")
            async with Sender(replace(LOCAL, names_s=0), resolver) as sender:
                return [await sender.post("http://fickle.example/", BODY, {}) for _ in range(2)]

    first, second = asyncio.run(go())
    assert first.is_success
    assert (second.outcome, second.status) == (Outcome.PRIVATE_ADDRESS, None)
    assert second.detail == "fickle.example: not a public address"  # not which one


def post_tls(folder: Path, name: str, settings: SendSettings) -> tuple[Result, list[RawRequest]]:
    """A request to https://hooks.example, at a server with a certificate for `name`."""

    async def go() -> tuple[Result, list[RawRequest]]:
        context, file = certificate(folder, name)
        async with RawServer(always(answer(204)), context) as server:
            given = replace(
                settings,
                resolve={"hooks.example": server.address},
                ca_file=str(file) if settings.ca_file else None,
            )
            async with Sender(given) as sender:
                return await sender.post("https://hooks.example/hook", BODY, {}), server.requests

    return asyncio.run(go())


def test_a_certificate_of_the_name_is_accepted(tmp_path: Path) -> None:
    result, requests = post_tls(tmp_path, "hooks.example", replace(LOCAL, ca_file="its own"))
    assert result.is_success
    assert requests[0].body == BODY


@pytest.mark.parametrize(
    ("name", "ca_file"),
    [("hooks.example", None), ("other.example", "its own")],
    ids=["unknown", "other"],
)
def test_a_certificate_of_an_unknown_authority_or_of_another_name_is_refused(
    tmp_path: Path, name: str, ca_file: str | None
) -> None:
    result, requests = post_tls(tmp_path, name, replace(LOCAL, ca_file=ca_file))
    assert (result.outcome, result.status, requests) == (Outcome.TLS, None, [])
    assert "certificate" in result.detail.lower()


def test_a_connection_is_used_again_and_no_cookie_comes_back() -> None:
    async def go(server: RawServer, sender: Sender) -> tuple[int, list[RawRequest]]:
        for _ in range(3):
            assert (await sender.post(server.url(), BODY, {})).is_success
        return server.connections, server.requests

    connections, requests = with_server(always(answer(200, ("Set-Cookie", "a=b"), body=b"ok")), go)
    assert connections == 1
    assert all("cookie" not in request.headers for request in requests)


def test_no_more_requests_at_a_time_than_connections_and_waiting_is_not_timed() -> None:
    async def slow(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        writer.write(answer(200))

    async def go(server: RawServer, sender: Sender) -> tuple[list[Result], int]:
        results = await asyncio.gather(*(sender.post(server.url(), BODY, {}) for _ in range(10)))
        return list(results), server.most_open

    # One after the other they take 1.5 s, which is longer than the time of one.
    results, most = with_server(slow, go, replace(LOCAL, connections=1, timeout_s=1))
    assert most == 1
    assert all(result.is_success for result in results)
