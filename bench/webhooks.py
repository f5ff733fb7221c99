"""Changes to webhooks: committed to the lake, handed over, sent, while the sender is killed again and again.

    python -m bench webhooks [--changes 20000] [--endpoints 50] [--kills 5] [--registry sqlite|postgresql|URL]

The bench commits changes in a steady stream (`Shard.commit`, then `hand_over`, as a sweep does) and runs
`earshot deliver` against a receiver that logs what reaches it. World and endpoints: bench/webhooks_world.py;
what the figures mean: docs/performance.md.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import orjson
from sqlalchemy import Engine, select

from bench.measure import CommandFailed, cpu_s
from bench.report import Figures, cache, say, show
from bench.webhooks_publisher import Publisher
from bench.webhooks_sender import Sender, sending
from bench.webhooks_tally import FAULTS, Told, tallied, wanted
from bench.webhooks_world import MIN_ENDPOINTS, Hook, World
from earshot.made_up.webhooks.receiver import Log, Received, Receiving, receiving
from ingest.lake import utc_now_us
from registry.database import connected
from registry.leases import taken
from registry.registration import registration
from registry.registrations import register
from registry.subscribing import wish
from registry.subscriptions import ENDPOINT_SHARDS, add
from registry.tables import DeliveryState, deliveries, endpoint_leases, outbox
from tests.postgres import running_postgres

REPEATS = 1
CHANGES, ENDPOINTS, KILLS = 20_000, 50, 5
TENANT = "bench"
PER_S = 20_000 / 120  # changes, as they are committed
SHORTEST_S = 10.0
REST_S = 20.0  # in which ill endpoints have their time, at most a quarter of the stream's
LIMIT_S = 180.0  # for what is left when the last change is committed


@dataclass(frozen=True)
class Plan:
    """How a run goes."""

    world: World
    kills: int
    seed: int

    @property
    def stream_s(self) -> float:
        """How long changes are committed."""
        return max(SHORTEST_S, self.world.changes / PER_S)

    def killed_at_s(self) -> list[float]:
        """Seconds after the first commit: one at random in each of equal parts of the stream."""
        rng = Random(f"bench kills {self.seed}")
        return [(number + rng.random()) * self.stream_s / self.kills for number in range(self.kills)]


def run(
    rows: int | None,
    repeats: int,
    endpoints: int = ENDPOINTS,
    kills: int = KILLS,
    registry: str = "sqlite",
) -> Figures:
    """`rows`: changes. Over the repeats the sum of each fault, the median of all other figures."""
    if endpoints < MIN_ENDPOINTS:
        raise CommandFailed(f"{MIN_ENDPOINTS} endpoints are needed, one of each behaviour: not {endpoints}")
    world = World(rows or CHANGES, endpoints)
    runs = []
    for number in range(repeats):
        say(f"run {number + 1} of {repeats}: {world.changes:,} changes to {endpoints} endpoints ...")
        room = tempfile.TemporaryDirectory(prefix="earshot-bench-", dir=_room())
        with room as folder, _registry(registry) as url:
            runs.append(_run(Plan(world, kills, number), Path(folder), url))
    figures = {name: _over(name, [one[name] for one in runs]) for name in runs[0]}
    show("Webhooks", ["", "figure"], [[name, value] for name, value in figures.items()])
    return {
        "changes": world.changes,
        "endpoints": endpoints,
        "registry": registry.partition(":")[0],
        **figures,
    }


def _room() -> Path:
    cache().mkdir(parents=True, exist_ok=True)
    return cache()


def _over(name: str, values: Sequence[object]) -> object:
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return None
    if name in FAULTS:
        return sum(numbers)
    return max(numbers) if name == "peak_mb" else statistics.median(numbers)


@contextmanager
def _registry(which: str) -> Iterator[str | None]:
    """Its URL; None: SQLite in the data folder. A database that is named must be empty."""
    if which == "sqlite":
        yield None
    elif which == "postgresql":
        with running_postgres() as server:
            yield server.url(server.create_database())
    else:
        yield which


def _run(plan: Plan, room: Path, url: str | None) -> Figures:
    data, world = room / "data", plan.world
    with (
        connected(url, data) as engine,
        receiving({hook.name: hook.endpoint() for hook in world.hooks}, room) as receiver,
    ):
        shards = world.by_shard()
        followers = {podcast.key: world.followers(podcast.number) for of in shards.values() for podcast in of}
        names = _subscribe(engine, world)
        publisher = Publisher(engine, data / "lake", shards)
        publisher.begin()
        watch = _Watch(Log(receiver.log))
        with sending(_environment(receiver, world, room, url), room / "sender.log") as sender:
            _until_at_work(engine, sender)
            begin_s = time.monotonic()
            sender.kill_at(begin_s + at_s for at_s in plan.killed_at_s())
            publisher.stream(plan.stream_s, sender)
            say(f"all is committed after {time.monotonic() - begin_s:.0f} s; what is left is sent ...")
            due = wanted(followers, publisher.committed)
            watch.until_told(_healthy(world.hooks, due), sender)
            time.sleep(min(REST_S, plan.stream_s / 4))
        receiver_s = cpu_s(receiver.pid)
        received = watch.received()
        figures = tallied(world.hooks, due, received, _waiting(engine, names), sender.killed_us)
    return {
        **figures,
        "kills": len(sender.killed_us),
        "cpu_ms_per_event": _share_ms(sender.cpu_s, figures["delivered"]),
        "receiver_cpu_ms_per_request": _share_ms(receiver_s, figures["requests"]),
        "peak_mb": round(sender.peak_mb),
        "commit_ms": _share_ms(publisher.commits_s, publisher.commits),  # wall, of a shard
        "hand_over_ms": _share_ms(publisher.hand_overs_s, publisher.commits),
        "stream_s": round(publisher.seconds, 1),
        "seconds": round(time.monotonic() - begin_s, 1),
    }


def _until_at_work(engine: Engine, sender: Sender) -> None:
    """Until the sender holds all endpoints: its start is no part of what subscribers wait for."""
    while len(taken(engine, utc_now_us(), endpoint_leases)[0]) < ENDPOINT_SHARDS:
        sender.check()
        time.sleep(0.1)


def _share_ms(seconds: float, among: object) -> float | None:
    return round(seconds * 1000 / among, 3) if isinstance(among, int) and among else None


def _environment(receiver: Receiving, world: World, room: Path, url: str | None) -> dict[str, str]:
    """Of the sender: each endpoint is a host of its own, and all lead to the receiver."""
    resolve = room / "resolve.json"
    leads = {hook.host: f"127.0.0.1:{receiver.port}" for hook in world.hooks}
    resolve.write_bytes(orjson.dumps(leads))
    return {
        "EARSHOT_DATA": str(room / "data"),
        "EARSHOT_FEED_RESOLVE": str(resolve),
        "EARSHOT_WEBHOOK_TEST_HOSTS": "127.0.0.0/8",
        **({"EARSHOT_REGISTRY": url} if url else {}),
    }


def _subscribe(engine: Engine, world: World) -> dict[int, str]:
    """Registers podcasts and endpoints; subscription id → the endpoint's name."""
    now_us = utc_now_us()
    podcasts = (
        registration(world.url(number), TENANT, [hook.label for hook in world.followers(number)])
        for number in range(world.podcasts)
    )
    register(engine, podcasts, now_us)
    names = {}
    for hook in world.hooks:
        asked = wish(
            hook.url, tenant=TENANT, labels=[hook.label], is_ordered=hook.is_ordered, secret=hook.secret
        )
        names[add(engine, asked, now_us).subscription_id] = hook.name
    return names


def _healthy(hooks: Sequence[Hook], due: Mapping[Told, int]) -> set[Told]:
    names = {hook.name for hook in hooks if hook.is_healthy}
    return {told for told in due if told[0] in names}


def _waiting(engine: Engine, names: Mapping[int, str]) -> set[Told]:
    """What the registry still holds, or has given up and keeps for replay."""
    states = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)
    of = deliveries.c
    with engine.connect() as connection:
        changes = {
            number: (key, sequence)
            for number, key, sequence in connection.execute(
                select(outbox.c.outbox_id, outbox.c.podcast_key, outbox.c.sequence)
            )
        }
        rows = connection.execute(
            select(of.subscription_id, of.outbox_ids).where(of.state.in_(map(str, states)))
        )
        return {(names[subscription], *changes[one]) for subscription, ids in rows for one in ids}


class _Watch:
    """What the receiver has logged so far."""

    def __init__(self, log: Log) -> None:
        self._log, self._received = log, list[Received]()

    def received(self) -> list[Received]:
        self._received += self._log.more()
        return self._received

    def until_told(self, wanted: set[Told], sender: Sender) -> None:
        """Until all of `wanted` has arrived, or LIMIT_S are over."""
        give_up = time.monotonic() + LIMIT_S
        looked_at = 0
        while time.monotonic() < give_up:
            received = self.received()
            wanted -= {
                (one.endpoint, key, sequence)
                for one in received[looked_at:]
                if one.status == 200
                for key, sequence in one.events
            }
            looked_at = len(received)
            if not wanted:
                return
            sender.check()
            time.sleep(0.5)
        say(f"{len(wanted):,} deliveries to healthy endpoints have not arrived")
