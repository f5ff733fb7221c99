"""What was asked of hubs: kept through failures, renewals and changes of mind."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from ingest.feeds.urls import podcast_key
from ingest.schema import DAY_US
from registry import hubs
from registry.hubs import Hub, HubSubscription
from registry.podcasts import register
from registry.registration import registration
from registry.tables import HubState

URL = "https://feeds.example/show.xml"
KEY = podcast_key(URL)
HUB = Hub("https://hub.example/", URL)
NOW_US, HOUR_US = 1_790_000_000_000_000, 3_600_000_000


@pytest.fixture
def asked(engine: Engine) -> Engine:
    register(engine, [registration(URL)], NOW_US)
    hubs.begin(engine, {KEY: HUB}, NOW_US)
    return engine


def known(engine: Engine) -> HubSubscription:
    found = hubs.find(engine, KEY)
    assert found is not None
    return found


def test_a_lease_is_renewed_before_it_ends_and_holds_meanwhile(asked: Engine) -> None:
    assert (known(asked).state, known(asked).next_us) == (HubState.ASKED, NOW_US + HOUR_US)
    hubs.confirm(asked, KEY, URL, NOW_US, 10 * 86_400)
    assert known(asked).next_us == NOW_US + 15 * DAY_US // 2  # three quarters of ten days
    hubs.begin(asked, {KEY: HUB}, NOW_US + 8 * DAY_US)
    assert known(asked).state is HubState.ACTIVE
    hubs.fail(asked, KEY, URL, NOW_US + 8 * DAY_US, "unreachable", None)
    assert (known(asked).state, known(asked).failures) == (HubState.ACTIVE, 1)


def test_waits_double_up_to_a_day_and_a_hub_may_ask_for_more(asked: Engine) -> None:
    waits = []
    for _ in range(7):
        hubs.fail(asked, KEY, URL, NOW_US, "busy", None)
        waits.append((known(asked).next_us - NOW_US) // HOUR_US)
    assert waits == [1, 2, 4, 8, 16, 24, 24]
    hubs.fail(asked, KEY, URL, NOW_US, "busy", NOW_US + 3 * DAY_US)
    assert known(asked).next_us == NOW_US + 3 * DAY_US
    assert known(asked).state is HubState.FAILED


def test_another_topic_begins_anew_and_answers_of_the_former_change_nothing(asked: Engine) -> None:
    hubs.confirm(asked, KEY, URL, NOW_US, 86_400)
    hubs.begin(asked, {KEY: Hub(HUB.hub, "https://new.example/")}, NOW_US)
    assert (known(asked).state, known(asked).lease_s) == (HubState.ASKED, None)
    hubs.confirm(asked, KEY, URL, NOW_US, 86_400)
    hubs.deny(asked, KEY, URL, NOW_US, "late")
    assert known(asked).state is HubState.ASKED


def test_what_is_forgotten_is_gone(asked: Engine) -> None:
    assert [each.podcast_key for each in hubs.every(asked)] == [KEY]
    hubs.forget(asked, [KEY])
    assert hubs.find(asked, KEY) is None
    assert hubs.polled(asked) == {KEY}
