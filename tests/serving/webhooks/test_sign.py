"""Signatures verify with the official libraries, of Python and of JavaScript, also across a rotation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from serving.webhooks.catalogue import example, types
from serving.webhooks.sign import headers
from tests.serving.webhooks import javascript

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 64).decode()
OTHER = "whsec_" + base64.b64encode(b"x" * 24).decode()
BODY = '{"type":"webhook.test","title":"Grüße, 漢字, 😀, \u2028"}'.encode()

Message = tuple[str, Mapping[str, str], bytes]
Verify = Callable[[Message], Any]


def now_us() -> int:
    return time.time_ns() // 1000


def in_python(message: Message) -> Any:
    """The payload, or None: not verified."""
    secret, signed, body = message
    try:
        return Webhook(secret).verify(body, dict(signed))
    except WebhookVerificationError:
        return None


def in_javascript(message: Message) -> Any:
    return javascript.verified([message])[0].get("payload")


LIBRARIES = [
    pytest.param(in_python, id="python"),
    pytest.param(in_javascript, id="javascript", marks=javascript.needs_node),
]


def test_the_headers_of_a_message_by_hand() -> None:
    # HMAC-SHA256 with the decoded secret over "id.second.body", in base64 (Standard Webhooks).
    signed = headers("evt_1", b'{"a":1}', [OLD], 1_700_000_000_999_999, 3)
    mac = hmac.new(b"o" * 24, b'evt_1.1700000000.{"a":1}', hashlib.sha256).digest()
    assert signed == {
        "content-type": "application/json",
        "webhook-id": "evt_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        "webhook-attempt": "3",
    }


@pytest.mark.parametrize("verify", LIBRARIES)
def test_a_signed_message_verifies_and_a_changed_one_does_not(verify: Verify) -> None:
    signed = headers("evt_1", BODY, [OLD], now_us(), 1)
    assert verify((OLD, signed, BODY)) == json.loads(BODY)
    assert verify((OTHER, signed, BODY)) is None
    assert verify((OLD, signed, BODY + b" ")) is None
    assert verify((OLD, signed | {"webhook-id": "evt_2"}, BODY)) is None
    old = headers("evt_1", BODY, [OLD], now_us() - 6 * 60 * 1_000_000, 1)
    assert verify((OLD, old, BODY)) is None  # a request that somebody kept and sends again


@pytest.mark.parametrize("verify", LIBRARIES)
def test_during_a_rotation_both_secrets_verify_and_afterwards_the_new_one_only(verify: Verify) -> None:
    # Whose turn it is tells registry.subscriptions.Subscription.secrets, the current one first.
    during = headers("evt_1", BODY, [NEW, OLD], now_us(), 1)
    assert during["webhook-signature"].count(" ") == 1
    assert [verify((secret, during, BODY)) is not None for secret in (NEW, OLD, OTHER)] == [True, True, False]
    afterwards = headers("evt_1", BODY, [NEW], now_us(), 1)
    assert [verify((secret, afterwards, BODY)) is not None for secret in (NEW, OLD)] == [True, False]


def examples() -> list[Message]:
    bodies = [example(type, now_us()) for type in types()]
    return [(NEW, headers("evt_1", body, [NEW], now_us(), 1), body) for body in bodies]


def test_each_type_of_the_catalogue_verifies_in_python() -> None:
    for message in examples():
        assert in_python(message) == json.loads(message[2])


@javascript.needs_node
def test_each_type_of_the_catalogue_verifies_in_javascript() -> None:
    messages = examples()
    found = javascript.verified(messages)
    assert found == [{"payload": json.loads(body)} for _, _, body in messages]


def test_the_id_and_not_the_attempt_is_what_stays() -> None:
    first = headers("evt_1", BODY, [OLD], now_us(), 1)
    second = headers("evt_1", BODY, [OLD], now_us() + 5_000_000, 2)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert (first["webhook-attempt"], second["webhook-attempt"]) == ("1", "2")


def test_nothing_goes_out_unsigned() -> None:
    with pytest.raises(ValueError, match="secret"):
        headers("evt_1", BODY, [], now_us(), 1)
