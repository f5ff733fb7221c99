"""The receiver that plays webhook endpoints: a real process, asked over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from earshot.made_up.webhooks.endpoints import Behaviour, Endpoint
from earshot.made_up.webhooks.receiver import Log, Receiving, receiving

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PODCAST = 2**63 - 1  # more than JavaScript's numbers hold
ENDPOINTS = {
    **{str(behaviour): Endpoint(behaviour, (SECRET,)) for behaviour in Behaviour},
    "anybody": Endpoint(),
    "rotating": Endpoint(secrets=(OTHER, SECRET)),
    "first": Endpoint(Behaviour.FLAP, phase_s=1.7e9),  # bad from 1970 to 2023, good until 2077
    "second": Endpoint(Behaviour.FLAP, phase_s=1e10),
}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with receiving(ENDPOINTS, tmp_path_factory.mktemp("webhooks")) as started:
        yield started


@pytest.fixture
def connection(receiver: Receiving) -> Iterator[http.client.HTTPConnection]:
    opened = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    yield opened
    opened.close()


def event(sequence: int, *coalesced: int) -> dict[str, object]:
    data = {"podcast": {"key": str(PODCAST)}, "sequence": sequence, "coalesced": coalesced, "changes": []}
    return {"type": "episode.created", "timestamp": "2026-11-29T15:00:00.000000Z", "data": data}


def post(
    connection: http.client.HTTPConnection,
    endpoint: str,
    payload: object = None,
    message_id: str = "evt_1",
    secret: str = SECRET,
    attempt: int = 1,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    body, now = json.dumps(payload or event(1)), datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
        "Webhook-Attempt": str(attempt),
    }
    connection.request("POST", f"/e/{endpoint}", body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_each_request_is_logged_as_it_is_answered(
    receiver: Receiving, connection: http.client.HTTPConnection
) -> None:
    before_us, log = time.time_ns() // 1000, Log(receiver.log)
    log.more()
    assert post(connection, "ok", event(7, 5, 6), "evt_7", attempt=3)[0] == 200
    assert post(connection, "error", event(8), "evt_8")[0] == 500
    one, two = log.more()
    assert before_us <= one.at_us <= two.at_us <= time.time_ns() // 1000
    assert one[1:] == (
        "ok",
        "evt_7",
        3,
        "episode.created",
        [[PODCAST, 5], [PODCAST, 6], [PODCAST, 7]],
        200,
        True,
    )
    assert two[1:] == ("error", "evt_8", 1, "episode.created", [[PODCAST, 8]], 500, True)
    assert log.more() == []


def test_a_batch_is_logged_with_all_its_events(
    receiver: Receiving, connection: http.client.HTTPConnection
) -> None:
    batch = {"type": "changes.batch", "data": {"count": 2, "events": [event(1), event(3, 2)]}}
    post(connection, "ok", batch)
    assert receiver.received()[-1].events == [[PODCAST, 1], [PODCAST, 2], [PODCAST, 3]]


def test_a_wrong_signature_is_refused_whatever_the_endpoint(
    receiver: Receiving, connection: http.client.HTTPConnection
) -> None:
    for endpoint in ("ok", "error", "gone"):
        assert post(connection, endpoint, secret=OTHER)[0] == 401
        assert not receiver.received()[-1].is_verified
    connection.request("POST", "/e/ok", b"{}", {"webhook-id": "x", "webhook-timestamp": "x"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (401, b"the signature is wrong")


def test_any_secret_of_an_endpoint_signs(connection: http.client.HTTPConnection) -> None:
    assert [post(connection, "rotating", secret=secret)[0] for secret in (SECRET, OTHER)] == [200, 200]
    assert post(connection, "anybody", secret=OTHER)[0] == 200


def test_a_challenge_is_answered_by_endpoints_that_take_nothing(
    connection: http.client.HTTPConnection,
) -> None:
    for endpoint in ("ok", "error", "hang"):
        challenge = {"type": "webhook.challenge", "data": {"challenge": "tell me"}}
        status, _, body = post(connection, endpoint, challenge)
        assert (status, json.loads(body)) == (200, {"challenge": "tell me"})


def test_a_busy_endpoint_takes_each_third_request(connection: http.client.HTTPConnection) -> None:
    answers = [post(connection, "busy")[:2] for _ in range(6)]
    assert [(status, headers["Retry-After"]) for status, headers in answers] == [
        (429, "1"), (429, "1"), (200, None), (429, "1"), (429, "1"), (200, None),
    ]  # fmt: skip


def test_a_flapping_endpoint_is_bad_and_good_in_turn(connection: http.client.HTTPConnection) -> None:
    assert [post(connection, endpoint)[0] for endpoint in ("first", "second")] == [200, 500]


def test_who_follows_a_redirect_is_found_out(
    receiver: Receiving, connection: http.client.HTTPConnection
) -> None:
    status, headers, _ = post(connection, "redirect")
    assert (status, headers["Location"]) == (302, "/e/redirect/moved")
    assert post(connection, "redirect/moved")[0] == 404
    assert receiver.received()[-1].endpoint == "redirect/moved"


def test_the_gone_are_gone(connection: http.client.HTTPConnection) -> None:
    assert post(connection, "gone")[0] == 410


def test_a_hanging_endpoint_says_nothing_and_holds_up_no_other(
    receiver: Receiving, connection: http.client.HTTPConnection
) -> None:
    hanging = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=0.3)
    with pytest.raises(TimeoutError):
        post(hanging, "hang")
    assert receiver.received()[-1].status == 0
    assert post(connection, "ok")[0] == 200
    hanging.close()


def test_answers_without_end_have_none(receiver: Receiving) -> None:
    for endpoint, at_least in (("drip", 0), ("endless", 1_000_000)):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=0.5) as opened:
            opened.sendall(_signed(endpoint))
            read = 0
            with pytest.raises(TimeoutError):
                while read <= at_least:
                    read += len(opened.recv(65_536))
                raise TimeoutError  # enough
        assert receiver.received()[-1].status == 200


def _signed(endpoint: str) -> bytes:
    now, body = datetime.now(UTC), "{}"
    return "\r\n".join(
        [
            f"POST /e/{endpoint} HTTP/1.1",
            "webhook-id: evt_1",
            f"webhook-timestamp: {int(now.timestamp())}",
            f"webhook-signature: {Webhook(SECRET).sign('evt_1', now, body)}",
            f"content-length: {len(body)}\r\n\r\n{body}",
        ]
    ).encode()


def test_a_request_may_come_in_pieces_and_two_at_once(receiver: Receiving) -> None:
    logged = len(receiver.received())
    both = _signed("ok") + _signed("ok")
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as opened:
        for at in range(0, len(both), 50):
            opened.sendall(both[at : at + 50])
            time.sleep(0.002)
        read = b""
        while read.count(b"200 OK") < 2:
            read += opened.recv(65_536)
    assert len(receiver.received()) == logged + 2


def test_what_is_no_webhook_is_a_bad_request(receiver: Receiving) -> None:
    for wrong in (
        b"GET /e/ok HTTP/1.1\r\n\r\n",
        b"POST /e/ok HTTP/1.1\r\n\r\n",
        b"POST /e/ok HTTP/1.1\r\ncontent-length: 9999999999\r\n\r\n",
        b"x" * 20_000,
    ):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as opened:
            opened.sendall(wrong)
            assert opened.recv(65_536).startswith(b"HTTP/1.1 400 ")


def test_endpoints_change_while_it_runs(tmp_path: Path) -> None:
    with receiving({"it": Endpoint(Behaviour.ERROR)}, tmp_path) as receiver:
        opened = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
        assert post(opened, "it")[0] == 500
        receiver.become({"it": Endpoint()})
        assert post(opened, "it")[0] == 200
        opened.close()
    assert [one.status for one in receiver.received()] == [500, 200]
