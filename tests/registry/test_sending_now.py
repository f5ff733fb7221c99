"""What an endpoint is held up by, and when somebody was last sent anything."""

from __future__ import annotations

from sqlalchemy import Engine

from registry.sending_now import Head, head_of, last_request_us
from registry.tables import DeliveryState
from tests.registry.webhook_rows import attempt, delivery, endpoint

PENDING, SENDING = DeliveryState.PENDING, DeliveryState.SENDING


def test_the_oldest_message_holds_up_those_behind_it(engine: Engine) -> None:
    at, other = endpoint(engine, is_ordered=True), endpoint(engine, is_ordered=True)
    assert head_of(engine, at) is None
    delivery(engine, at, "evt_sent")
    first = delivery(engine, at, "evt_1", state=PENDING, due_us=9, failures=2, attempts=2, reason="refused")
    for number in range(3):
        delivery(engine, at, f"evt_{number + 2}", state=PENDING, due_us=1)
        delivery(engine, other, f"evt_{number}", state=PENDING)
    assert head_of(engine, at) == Head("evt_1", 2, 9, 3, "refused")
    attempt(engine, first, 1, detail="500 Internal Server Error")
    attempt(engine, first, 2, detail="502 Bad Gateway")
    assert head_of(engine, at) == Head("evt_1", 2, 9, 3, "502 Bad Gateway")


def test_the_last_request_is_found_wherever_it_was_made(engine: Engine) -> None:
    at = endpoint(engine)
    assert last_request_us(engine) is None
    old = delivery(engine, at, "evt_0", state=PENDING, attempts=2)
    done = delivery(engine, at, "evt_1")
    attempt(engine, done, started_us=10)
    assert last_request_us(engine) == 10
    attempt(engine, old, 2, started_us=20, outcome="refused")
    assert last_request_us(engine) == 20
    attempt(engine, delivery(engine, at, "evt_2", state=SENDING), started_us=30, outcome=None)
    assert last_request_us(engine) == 30
    endpoint(engine, succeeded_us=40)
    assert last_request_us(engine) == 40
