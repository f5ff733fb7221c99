"""What `earshot doctor` says of who is told of changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from earshot.doctor_webhooks import webhooks
from earshot.finding import Finding, Verdict
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.database import FILE_NAME, connect
from registry.leases import claim
from registry.tables import DeliveryState, SubscriptionState, endpoint_leases
from tests.ingest.samples import settings_of
from tests.registry.webhook_rows import delivery, endpoint

MIN, HOUR = 60_000_000, 3_600_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = connect(settings.registry, settings.data)
    yield engine
    engine.dispose()


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in webhooks(settings)}


def test_nobody_is_told_of_changes_and_that_is_fine(settings: Settings) -> None:
    assert found(settings)["webhooks"].found.startswith("nobody is told")
    assert not (settings.data / FILE_NAME).exists()
    connect(settings.registry, settings.data).dispose()
    assert found(settings)["webhooks"].verdict is Verdict.FINE


def test_all_is_fine_with_an_endpoint_that_is_told_in_time(settings: Settings, engine: Engine) -> None:
    delivery(engine, endpoint(engine), "evt_1", due_us=utc_now_us(), state=DeliveryState.PENDING)
    findings = found(settings)
    assert findings["webhooks"].found == "1 endpoints, 0 of them disabled"
    assert findings["deliveries"].found == "1 is due, the oldest for 0 s"
    assert {each.verdict for each in findings.values()} == {Verdict.FINE}


def test_disabled_endpoints_are_told_with_reason_and_since_when(settings: Settings, engine: Engine) -> None:
    since_us = utc_now_us() - 5 * HOUR
    state = SubscriptionState.DISABLED
    number = endpoint(engine, state=state, reason="it said 410 Gone", state_us=since_us)
    finding = found(settings)["webhooks"]
    assert finding.verdict is Verdict.ODD
    assert finding.found == f"1 endpoints, 1 of them disabled: {number} since 5 h: it said 410 Gone"
    assert "earshot resume" in finding.advice


def test_deliveries_that_wait_while_nobody_sends_are_odd(settings: Settings, engine: Engine) -> None:
    subscription, due_us = endpoint(engine), utc_now_us() - 10 * MIN
    delivery(engine, subscription, "evt_1", due_us=due_us, state=DeliveryState.PENDING)
    finding = found(settings)["deliveries"]
    assert finding.found == "1 is due, the oldest for 10 min, and nobody sends"
    assert "earshot deliver" in finding.advice
    claim(engine, "worker", [subscription], 60, utc_now_us(), table=endpoint_leases)
    finding = found(settings)["deliveries"]
    assert finding.verdict is Verdict.ODD
    assert "nobody" not in finding.found


def test_a_paused_endpoint_waits_by_right(settings: Settings, engine: Engine) -> None:
    subscription = endpoint(engine, paused_until_us=utc_now_us() + HOUR)
    delivery(engine, subscription, "evt_1", due_us=utc_now_us() - HOUR, state=DeliveryState.PENDING)
    assert found(settings)["deliveries"] == Finding("deliveries", "0 are due")


def test_dead_letters_of_the_last_day_are_told(settings: Settings, engine: Engine) -> None:
    subscription, now_us = endpoint(engine), utc_now_us()
    for hours in (1, 2, 30):
        ended = {"state": DeliveryState.DEAD, "ended_us": now_us - hours * HOUR}
        delivery(engine, subscription, f"evt_{hours}", **ended)
    ended_one = endpoint(engine, state=SubscriptionState.ENDED)
    delivery(engine, ended_one, "evt_1", state=DeliveryState.DEAD, created_us=now_us)
    finding = found(settings)["dead letters"]
    assert finding.verdict is Verdict.ODD
    assert finding.found == f"2 deliveries were given up in 24 h: 2 of subscription {subscription}"


def test_a_secret_that_is_too_short_is_wrong_and_not_shown(settings: Settings, engine: Engine) -> None:
    number = endpoint(engine, secret="whsec_c2hvcnQ=")
    finding = found(settings)[f"subscription {number}"]
    assert finding.verdict is Verdict.WRONG
    assert finding.found.startswith("secret: ")
    assert "c2hvcnQ" not in repr(finding)


def test_a_new_registry_is_nobody_elses_and_one_that_others_can_read_is_odd(
    settings: Settings, engine: Engine
) -> None:
    endpoint(engine)
    file = settings.data / FILE_NAME
    modes = {path.name: path.stat().st_mode & 0o777 for path in settings.data.glob(f"{FILE_NAME}*")}
    assert set(modes.values()) == {0o600}, modes
    assert "registry's file" not in found(settings)
    file.chmod(0o644)
    finding = found(settings)["registry's file"]
    assert finding.verdict is Verdict.ODD
    assert finding.advice == f"chmod 600 {file}*"
    settings.data.chmod(0o700)  # then nobody else comes near it
    assert "registry's file" not in found(settings)


def test_private_addresses_allowed_for_endpoints_are_odd(settings: Settings) -> None:
    name = "EARSHOT_WEBHOOK_TEST_HOSTS"
    assert name not in found(settings)
    off = settings.model_copy(update={"webhook_test_hosts": "10.0.0.0/8"})
    assert found(off)[name].verdict is Verdict.ODD
