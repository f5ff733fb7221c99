"""Politeness to hosts: pace, pauses, rest for those that cannot be reached; and no host waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.buckets import Closed, HostBuckets, TokenBucket
from ingest.feeds.fetch import Ask, Fetcher
from ingest.feeds.hosters import HOSTERS, Pace, listed_domain, registrable_domain
from ingest.feeds.reasons import Reason
from tests.ingest.feeds.fetching import FEED, LOCAL, with_server
from tests.ingest.feeds.raw_server import RawRequest, RawServer, always, answer


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def buckets(clock: Callable[[], float], pace: Pace = Pace(2, 4), **settings: Any) -> HostBuckets:
    return HostBuckets(pace, clock=clock, **settings)


def run(test: Callable[[Clock], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test(Clock()))


@given(st.floats(0.1, 50), st.lists(st.floats(0, 5), max_size=60))
def test_a_bucket_never_gives_more_than_its_rate(per_s: float, pauses: list[float]) -> None:
    now, bucket, taken = 0.0, TokenBucket(per_s, 0.0), []
    for pause in pauses:
        now += pause
        while bucket.take(now):
            taken.append(now)
        assert 0 < bucket.wait_s(now) <= 1 / per_s + 1e-6
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= bucket.burst + per_s * (taken[last] - taken[first]) + 1e-6


@given(st.floats(0.1, 50), st.integers(1, 100))
def test_a_bucket_keeps_what_it_forecasts(per_s: float, tokens: int) -> None:
    bucket = TokenBucket(per_s, 0.0)
    while bucket.take(0.0):
        pass
    wait = bucket.wait_s(0.0)
    assert not bucket.take(wait * 0.9)
    assert bucket.take(wait + 1e-6)


def test_a_host_is_asked_at_its_pace() -> None:
    async def test(clock: Clock) -> None:
        made = buckets(clock, Pace(2, 100))
        for _ in range(4):  # two seconds' worth at once
            assert made.ready_in("a.example") == 0
            await made.enter("a.example")
        assert made.ready_in("a.example") == pytest.approx(0.5)
        assert made.ready_in("b.example") == 0
        clock.now += 0.5
        assert made.ready_in("a.example") == 0

    run(test)


def test_no_more_connections_than_allowed_and_first_come_first_served() -> None:
    async def test(clock: Clock) -> None:
        made, order = buckets(clock, Pace(1000, 2)), []

        async def visit(name: int) -> None:
            await made.enter("a.example")
            order.append(name)

        tasks = [asyncio.create_task(visit(name)) for name in range(5)]
        await asyncio.sleep(0)
        assert order == [0, 1]
        assert made.ready_in("a.example") > 0
        tasks[2].cancel()  # gives up waiting
        for _ in range(3):
            made.leave("a.example")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert order == [0, 1, 3, 4]

    run(test)


def test_a_turn_given_while_giving_up_is_passed_on() -> None:
    async def test(clock: Clock) -> None:
        made = buckets(clock, Pace(1000, 1))
        await made.enter("a.example")
        first, second = (asyncio.create_task(made.enter("a.example")) for _ in range(2))
        await asyncio.sleep(0)
        made.leave("a.example")  # gives the turn to the first …
        first.cancel()  # … which has not run since
        await asyncio.wait_for(second, 5)
        with pytest.raises(asyncio.CancelledError):
            await first

    run(test)


def test_a_long_pause_is_told_at_once_also_to_those_who_wait() -> None:
    async def test(clock: Clock) -> None:
        made = buckets(clock, Pace(1000, 1))
        await made.enter("a.example")
        waiting = [asyncio.create_task(made.enter("a.example")) for _ in range(3)]
        await asyncio.sleep(0)
        made.pause("a.example", 600)
        for ended in await asyncio.gather(*waiting, made.enter("a.example"), return_exceptions=True):
            assert isinstance(ended, Closed)
            assert (ended.reason, ended.left_s) == (Reason.BUSY, 600)
        assert made.ready_in("a.example") == 600
        made.pause("a.example", 10)  # the longer one holds
        assert made.ready_in("a.example") == 600
        made.leave("a.example")
        clock.now += 601
        assert made.ready_in("a.example") == 0
        await made.enter("a.example")

    run(test)


def test_a_short_pause_is_waited_for() -> None:
    async def test(clock: Clock) -> None:
        made = HostBuckets(Pace(1000, 4))
        made.pause("a.example", 0.05)
        assert made.ready_in("a.example") > 0
        await made.enter("a.example")
        assert made.ready_in("a.example") == 0

    run(test)


@pytest.mark.parametrize(("scope", "is_paused"), [("host", False), ("domain", True)])
def test_a_pause_is_for_the_host_or_its_domain(scope: str, is_paused: bool) -> None:
    made = buckets(Clock(), pause_scope=scope)
    made.pause("feeds.a.co.uk", 600)
    assert made.ready_in("feeds.a.co.uk") == 600
    assert (made.ready_in("www.a.co.uk") > 0) is is_paused
    assert made.ready_in("www.b.co.uk") == 0


def test_a_large_hoster_has_one_pace_for_all_its_hosts() -> None:
    async def test(clock: Clock) -> None:
        made = HostBuckets(Pace(0.1, 1), {"hoster.example": Pace(1, 2)}, clock=clock)
        await made.enter("one.hoster.example")
        await made.enter("two.hoster.example")
        assert made.ready_in("three.hoster.example") == pytest.approx(1)
        assert made.ready_in("nothoster.example") == 0

    run(test)


def test_the_table_names_hosts_as_they_are_found_in_feeds() -> None:
    for host in (
        "feeds.megaphone.fm",
        "feeds.simplecast.com",
        "anchor.fm",
        "feeds.buzzsprout.com",
        "rss.art19.com",
    ):
        assert listed_domain(host, HOSTERS)
    for host in (
        "feeds.libsyn.com",
        "www.omnycontent.com",
        "feeds.acast.com",
        "feeds.transistor.fm",
        "a.podbean.com",
    ):
        assert listed_domain(host, HOSTERS)
    assert listed_domain("fm", HOSTERS) is None
    assert listed_domain("myanchor.fm", HOSTERS) is None


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.example", "a.example"),
        ("x.y.a.example", "a.example"),
        ("x.a.co.uk", "a.co.uk"),
        ("a.co.uk", "a.co.uk"),
        ("x.a.uk", "a.uk"),
        ("localhost", "localhost"),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_domain_that_somebody_registered(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


def test_an_unreachable_host_is_let_be_and_tried_again() -> None:
    async def test(clock: Clock) -> None:
        made = buckets(clock, Pace(1000, 1), rest_s=60)
        await made.enter("a.example")
        waiting = asyncio.create_task(made.enter("a.example"))
        await asyncio.sleep(0)
        for _ in range(3):
            assert made.ready_in("a.example") < 1
            made.unreached("a.example", Reason.CONNECT, "refused")
        with pytest.raises(Closed, match="refused"):
            await waiting
        made.leave("a.example")
        with pytest.raises(Closed) as closed:
            await made.enter("a.example")
        assert (closed.value.reason, closed.value.left_s) == (Reason.CONNECT, 60)
        assert made.ready_in("a.example") == 60
        clock.now += 61
        await made.enter("a.example")
        made.reached("a.example")
        made.unreached("a.example", Reason.CONNECT, "refused")
        assert made.ready_in("a.example") < 1  # one failure is none
        made.leave("a.example")

    run(test)


def test_a_dead_host_answers_for_all_its_feeds_at_once() -> None:
    made = buckets(clock := Clock(), rest_s=60)
    for _ in range(20):
        asyncio.run(made.enter("a.example"))
        made.unreached("a.example", Reason.DNS, "no such name")
        made.leave("a.example")
        clock.now += 61
    clock.now -= 61
    assert made.ready_in("a.example") == 0  # worth asking: it costs nothing
    with pytest.raises(Closed, match="no such name"):
        asyncio.run(made.enter("a.example"))


def test_hosts_not_in_use_are_forgotten() -> None:
    async def test(clock: Clock) -> None:
        made = buckets(clock)
        for number in range(30_000):
            host = f"h{number}.example"
            await made.enter(host)
            made.leave(host)
            made.pause(host, 0.5)
            clock.now += 0.01
        assert len(made._lanes) < 11_000
        assert len(made._paused_until) < 11_000

    run(test)


def test_ten_thousand_asks_of_a_slow_host_hold_up_no_other() -> None:
    async def never(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def go(server: RawServer, fetcher: Fetcher) -> None:
        async with RawServer(always(answer(200, body=FEED))) as quick:
            resolve = {"slow.example": server.address, "quick.example": quick.address}
            settings = replace(LOCAL, pace=Pace(1000, 4), resolve=resolve, connections=10, total_s=60)
            async with Fetcher(settings) as fetcher:
                slow = [
                    asyncio.create_task(fetcher.fetch(Ask(key, f"http://slow.example/{key}")))
                    for key in range(10_000)
                ]
                await asyncio.sleep(0.1)
                for key in range(20):
                    found = await fetcher.fetch(Ask(key, f"http://quick.example/{key}"))
                    assert found.body == FEED
                assert not any(task.done() for task in slow)
                assert server.most_open == 4
                assert fetcher.ready_in("http://slow.example/") > 0
                assert fetcher.ready_in("http://quick.example/") == 0
                for task in slow:
                    task.cancel()
                await asyncio.gather(*slow, return_exceptions=True)

    with_server(never, go)


def test_a_busy_host_is_left_alone_and_its_other_feeds_are_told() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        first = await fetcher.fetch(Ask(1, server.url("/a")))
        second = await fetcher.fetch(Ask(2, server.url("/b"), etag='"b"'))
        assert (first.status, first.reason, first.retry_after_s) == (429, Reason.BUSY, 86400)
        assert (second.status, second.reason, second.etag) == (None, Reason.BUSY, '"b"')
        assert second.retry_after_s is not None
        assert (
            second.retry_after_s <= LOCAL.max_pause_s + 1
        )  # one show's page does not silence a hoster for a day
        assert len(server.requests) == 1
        assert fetcher.ready_in(server.url("/c")) > 3000

    with_server(always(answer(429, ("Retry-After", "86400"))), go)


def test_a_redirect_takes_a_turn_at_the_host_it_leads_to() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        async with RawServer(always(answer(302, ("Location", "http://busy.example/feed")))) as mover:
            resolve = {"busy.example": server.address, "mover.example": mover.address}
            async with Fetcher(replace(LOCAL, resolve=resolve)) as fetcher:
                fetcher.buckets.pause("busy.example", 600)
                found = await fetcher.fetch(Ask(1, "http://mover.example/"))
                assert (found.status, found.reason) == (302, Reason.BUSY)
                assert server.requests == []

    with_server(always(answer(200, body=FEED)), go)


def test_a_host_that_is_down_is_not_tried_for_each_of_its_feeds() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        await server.__aexit__()
        found = [await fetcher.fetch(Ask(key, server.url(f"/{key}"))) for key in range(6)]
        assert {answer.reason for answer in found} == {Reason.CONNECT}
        assert ["not asked" in answer.detail for answer in found] == [False] * 3 + [True] * 3

    with_server(always(b""), go)
