"""Senders at work: real processes, a real receiver, kills in the middle."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from earshot.made_up.webhooks.endpoints import Behaviour, Endpoint
from earshot.made_up.webhooks.receiver import Receiving, receiving
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry import leases
from registry.database import connected
from registry.deliveries import Attempt
from registry.subscriptions import get
from registry.tables import attempts, deliveries, endpoint_leases
from serving.webhooks.deliver import Delivered, DeliverSettings, deliver
from serving.webhooks.lanes import Lanes
from serving.webhooks.send import Sender, SendSettings
from serving.webhooks.turns import turn
from tests.registry.webhook_rows import SECRET, change, delivery, endpoint

SHARDS = range(16)
PATIENCE_S = 60
DATA = {
    "podcast": {"guid": "g", "feed_url": "https://example.com/feed.xml", "title": "A show"},
    "episode": None,
    "changes": [{"field": "title", "old": "A", "new": "A show"}],
    "is_minor": False,
    "minor_fields": [],
}


@contextmanager
def world(folder: Path, endpoints: Mapping[str, Endpoint]) -> Iterator[tuple[Settings, Engine, Receiving]]:
    settings = Settings(data=folder / "data", webhook_test_hosts="127.0.0.1")
    with receiving(endpoints, folder) as receiver, connected(None, settings.data) as engine:
        yield settings, engine, receiver


def told(engine: Engine, subscription_id: int, count: int) -> None:
    """So many changes of the endpoint's own podcast wait for it."""
    for number in range(1, count + 1):
        row = change(engine, subscription_id, number, change="podcast.updated", data=DATA)
        waits = {"state": "pending", "attempts": 0, "podcast_key": subscription_id}
        delivery(engine, subscription_id, f"evt_{subscription_id}_{number}", [row], **waits)


def quick(budget_s: float = 5, timeout_s: float = 1) -> DeliverSettings:
    test_hosts = frozenset({"127.0.0.1"})
    return DeliverSettings(budget_s=budget_s, send=SendSettings(timeout_s=timeout_s, test_hosts=test_hosts))


def states(engine: Engine) -> dict[str, int]:
    query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
    with engine.connect() as connection:
        return dict(connection.execute(query).tuples().all())


class Worker:
    """`earshot deliver` as a process."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {
            **os.environ,
            "EARSHOT_DATA": str(settings.data),
            "EARSHOT_WEBHOOK_TEST_HOSTS": settings.webhook_test_hosts,
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "earshot.cli", "deliver", "--output", "json"]
        self.process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ends(self) -> bytes:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=PATIENCE_S)[0]


def wait_for(engine: Engine, sent: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while states(engine).get("sent", 0) < sent:
        assert time.monotonic() < until, states(engine)
        time.sleep(0.1)


def test_two_senders_killed_on_the_way_lose_nothing_and_never_make_one_attempt_twice(tmp_path: Path) -> None:
    names = [f"{number:02}" for number in range(8)]
    dice = random.Random(7)
    with world(tmp_path, {name: Endpoint(secrets=(SECRET,)) for name in names}) as (
        settings,
        engine,
        receiver,
    ):
        ids = {
            name: endpoint(engine, url=receiver.url(name), is_ordered=number % 2 == 0, rate_per_s=20)
            for number, name in enumerate(names)
        }
        for one in ids.values():
            told(engine, one, 40)
        workers = [Worker(settings), Worker(settings)]
        for _ in range(3):
            before = states(engine).get("sent", 0)
            wait_for(engine, min(before + dice.randint(20, 60), 320))
            for worker in workers:  # which of them holds the shards is theirs to know
                worker.kill()
                worker.start()
        wait_for(engine, 320)
        for worker in workers:
            worker.ends()
        received = receiver.received()
    taken = [(each.endpoint, each.message_id, each.attempt) for each in received]
    assert len(taken) == len(set(taken))
    assert all(each.is_verified and each.status == 200 for each in received)
    for name, one in ids.items():
        firsts = list(dict.fromkeys(each.message_id for each in received if each.endpoint == name))
        assert set(firsts) == {f"evt_{one}_{number}" for number in range(1, 41)}
        if get(engine, one).is_ordered:
            assert firsts == [f"evt_{one}_{number}" for number in range(1, 41)]


def test_a_sender_that_is_asked_to_end_finishes_what_is_out_and_gives_its_shards_back(tmp_path: Path) -> None:
    with world(tmp_path, {"ok": Endpoint(secrets=(SECRET,))}) as (settings, engine, receiver):
        told(engine, endpoint(engine, url=receiver.url("ok"), is_ordered=True, rate_per_s=10), 30)
        worker = Worker(settings)
        wait_for(engine, 3)
        said = worker.ends()
        assert worker.process.returncode == 0
        assert b'"sent"' in said
        with engine.connect() as connection:
            assert connection.scalar(select(func.count()).where(attempts.c.outcome.is_(None))) == 0
        counts = states(engine)
        assert counts["sent"] + counts["pending"] == 30
        assert counts["sent"] == len(receiver.received())
        done = deliver(settings, SHARDS, quick(budget_s=30))  # at once: nobody waits for its lease
        assert (done.held, done.interrupted, states(engine)) == (16, 0, {"sent": 30})


def test_slow_and_dead_endpoints_delay_no_other(tmp_path: Path) -> None:
    bad = {
        Behaviour.HANG,
        Behaviour.ERROR,
        Behaviour.REDIRECT,
        Behaviour.GONE,
        Behaviour.DRIP,
        Behaviour.ENDLESS,
    }
    endpoints = {str(one): Endpoint(one, (SECRET,)) for one in (*bad, Behaviour.OK)}
    with world(tmp_path, endpoints) as (settings, engine, receiver):
        ids = {name: endpoint(engine, url=receiver.url(name)) for name in endpoints}
        for one in ids.values():
            told(engine, one, 12)
        done = deliver(settings, SHARDS, quick(budget_s=8, timeout_s=4))
        received = [each for each in receiver.received() if each.endpoint == "ok"]
        assert [each.type for each in received].count("subscription.disabled") == 1  # of the one that is gone
        assert len(received) == 13
        with engine.connect() as connection:
            of_ok = select(attempts).join(deliveries).where(deliveries.c.subscription_id == ids["ok"])
            rows = list(connection.execute(of_ok))
            of_hang = select(attempts.c.outcome).join(deliveries)
            outcomes = {
                name: set(connection.scalars(of_hang.where(deliveries.c.subscription_id == one)))
                for name, one in ids.items()
            }
        assert {row.number for row in rows} == {1}
        assert outcomes == {
            "hang": {"timeout"},
            "error": {"server_error"},
            "redirect": {"redirected"},
            "gone": {"gone"},
            "drip": {"sent"},
            "endless": {"sent"},
            "ok": {"sent"},
        }
        assert done.disabled == [ids["gone"]]
        assert not [each for each in receiver.received() if each.endpoint.endswith("moved")]


def test_an_address_that_is_not_public_is_not_connected_to(tmp_path: Path) -> None:
    with world(tmp_path, {"ok": Endpoint(secrets=(SECRET,))}) as (settings, engine, receiver):
        told(engine, endpoint(engine, url=receiver.url("ok")), 1)
        done = deliver(settings, SHARDS, DeliverSettings(budget_s=1, send=SendSettings()))
        assert (done.total("sent"), receiver.received()) == (0, [])
        with engine.connect() as connection:
            assert set(connection.scalars(select(attempts.c.outcome))) == {"private_address"}


def test_what_a_sender_did_is_told_as_it_goes_on(tmp_path: Path) -> None:
    counts: list[int] = []

    def tell(so_far: Delivered) -> None:
        counts.append(so_far.total("sent"))

    with world(tmp_path, {"ok": Endpoint(secrets=(SECRET,))}) as (settings, engine, receiver):
        told(engine, endpoint(engine, url=receiver.url("ok")), 20)
        done = deliver(settings, SHARDS, quick(), told=tell)
    assert counts == sorted(counts)
    assert counts[-1] == done.total("sent") == 20


@pytest.mark.parametrize("rate", [5.0])
def test_an_endpoints_rate_is_kept(tmp_path: Path, rate: float) -> None:
    with world(tmp_path, {"ok": Endpoint(secrets=(SECRET,))}) as (settings, engine, receiver):
        told(engine, endpoint(engine, url=receiver.url("ok"), rate_per_s=rate), 11)
        deliver(settings, SHARDS, quick(budget_s=20))
        at_us = sorted(each.at_us for each in receiver.received())
    assert len(at_us) == 11
    assert at_us[-1] - at_us[0] >= 10 / rate * 1e6 * 0.9


def test_a_sender_that_ends_keeps_its_shards_until_the_last_answer(tmp_path: Path) -> None:
    with world(tmp_path, {"hang": Endpoint(Behaviour.HANG, (SECRET,))}) as (settings, engine, receiver):
        told(engine, endpoint(engine, url=receiver.url("hang")), 1)
        how = replace(quick(timeout_s=4), budget_s=None, lease_s=0.8)
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(deliver, settings, SHARDS, how, stop)
            until = time.monotonic() + PATIENCE_S
            while not receiver.received():
                assert time.monotonic() < until
                time.sleep(0.05)
            stop.set()
            other = deliver(settings, SHARDS, replace(how, budget_s=2))
            ending.result(timeout=PATIENCE_S)
        with engine.connect() as connection:
            outcomes = list(connection.scalars(select(attempts.c.outcome).order_by(attempts.c.number)))
    assert outcomes[0] == "timeout"
    assert other.interrupted == 0


def test_behind_a_lost_lease_and_to_one_who_unsubscribed_nothing_more_goes_out(tmp_path: Path) -> None:
    async def sent(lanes: Lanes, begun: list[Attempt], before_next: Callable[[], None]) -> list[bool]:
        lanes.take(begun)
        await lanes.wake.wait()
        before_next()
        while lanes.is_busy:
            await asyncio.sleep(0.02)
        return [each.result is not None for each in lanes.answered]

    async def both(begun: list[Attempt]) -> tuple[list[bool], list[bool]]:
        ours = [True]
        async with Sender(quick().send) as sender:
            lost = Lanes(sender, utc_now_us, lambda attempt: ours[0])
            first = await sent(lost, begun, lambda: ours.__setitem__(0, False))
            left = Lanes(sender, utc_now_us, lambda attempt: True)
            gone = {begun[0].subscription.subscription_id}
            return first, await sent(left, begun, lambda: left.inactive.update(gone))

    with world(tmp_path, {"ok": Endpoint(secrets=(SECRET,))}) as (_, engine, receiver):
        one = endpoint(engine, url=receiver.url("ok"), is_ordered=True, rate_per_s=3)
        told(engine, one, 3)
        held = leases.claim(engine, "sender", SHARDS, 60, utc_now_us(), table=endpoint_leases)
        begun = turn(engine, held, [], {}, utc_now_us()).begun
        assert asyncio.run(both(begun)) == ([True, False, False], [True, False, False])
        assert len(receiver.received()) == 2
