"""A sweep of feeds with its hand-over to the outbox, and a sender of webhooks, killed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import func, select

from earshot.made_up.webhooks.endpoints import Endpoint
from earshot.made_up.webhooks.receiver import Log, receiving
from ingest.feeds.state import Shard
from ingest.settings import Settings
from registry import tables
from registry.database import connected
from registry.podcasts import Registration, register
from registry.subscribing import wish
from registry.subscriptions import add
from serving.webhooks.deliver import DeliverSettings, deliver
from serving.webhooks.send import SendSettings
from tests.faults.scenario import Facts, Scenario, Told
from tests.registry.test_outbox import rows_of, sent
from tests.registry.test_tracker import DECLARED, MONTH, NOW, SHARD, URL, Feed, poll, serving
from tests.registry.webhook_rows import SECRET
from tests.registry.webhook_rows import endpoint as subscribed
from tests.serving.webhooks.test_deliver import SHARDS
from tests.serving.webhooks.test_deliver import told as changes_wait

ENDPOINTS, CHANGES = 2, 6
LEASE_S = 0.3


class Sweep(Scenario):
    """The second poll of a podcast whose guid and title changed: lake, registry, outbox and deliveries."""

    def prepare(self, data: Path) -> None:
        with connected(None, data) as engine, serving(Feed()) as feed:
            register(engine, [Registration(URL)], NOW)
            add(engine, wish("https://hooks.example.com/"), NOW)
            poll(engine, data / "lake", feed.port, NOW)

    @contextlib.contextmanager
    def helpers(self, data: Path) -> Iterator[dict[str, Any]]:
        with serving(Feed(guid=DECLARED)) as feed:
            yield {"port": feed.port}

    def work(self, data: Path, told: Told) -> None:
        with connected(None, data) as engine:
            while True:  # a killed worker's shard is free once its lease has ended
                swept = poll(engine, data / "lake", told["port"], NOW + MONTH, lease_s=LEASE_S)
                assert not swept.broken
                if swept.outcomes:
                    return

    def look(self, data: Path) -> Facts:
        shard = Shard(data / "lake", SHARD)
        state = shard.state().select("podcast_key", "sequence", "polls", "body_hash", "etag")
        changes = [pl.read_parquet(p) for p in sorted((data / "lake/changes").glob("day=*/[0-9]*.parquet"))]
        keys = state["podcast_key"].to_list()
        with connected(None, data) as engine:
            outbox = [(row["sequence"], row["change"], row["data"]) for row in rows_of(engine, tables.outbox)]
            deliveries = sent(engine)
        return {
            "state": state.rows(),
            "podcasts": {key: row["podcast_guid"] for key, row in shard.podcasts(keys).items()},
            "episodes": shard.items(keys)["item_hashes"].to_list(),
            "changes": pl.concat(changes).select("sequence", "change", "fields").sort("sequence").rows(),
            "outbox": outbox,
            "deliveries": deliveries,
        }

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """Readers see the whole commit or none of it; nothing is told that the lake does not hold."""
        found = self.look(data)
        assert found["changes"] in (before["changes"], after["changes"])
        assert found["outbox"] in (before["outbox"], after["outbox"])
        assert found["outbox"] == before["outbox"] or found["changes"] == after["changes"]


class Webhooks(Scenario):
    """A sender with two endpoints, one of them in order."""

    def prepare(self, data: Path) -> None:
        with connected(None, data) as engine:
            for number in range(ENDPOINTS):
                one = subscribed(engine, url=f"http://127.0.0.1:1/e{number}", is_ordered=number == 0)
                changes_wait(engine, one, CHANGES)

    @contextlib.contextmanager
    def helpers(self, data: Path) -> Iterator[dict[str, Any]]:
        names = {f"e{number}": Endpoint(secrets=(SECRET,)) for number in range(ENDPOINTS)}
        with receiving(names, data.parent) as receiver, connected(None, data) as engine:
            with engine.begin() as connection:
                for number in range(ENDPOINTS):
                    which = tables.subscriptions.c.url.endswith(f"/e{number}")
                    url = receiver.url(f"e{number}")
                    connection.execute(tables.subscriptions.update().where(which).values(url=url))
            yield {}

    def work(self, data: Path, told: Told) -> None:
        settings = Settings(data=data, webhook_test_hosts="127.0.0.1")
        send = SendSettings(timeout_s=2, test_hosts=frozenset({"127.0.0.1"}))
        with connected(None, data) as engine:
            while True:  # a killed sender's shards are free once its lease has ended
                deliver(settings, SHARDS, DeliverSettings(budget_s=20, lease_s=LEASE_S, send=send))
                with engine.connect() as connection:
                    is_sent = tables.deliveries.c.state == "sent"
                    if connection.scalar(select(func.count()).where(is_sent)) == ENDPOINTS * CHANGES:
                        return
                threading.Event().wait(0.05)

    def look(self, data: Path) -> Facts:
        """What the endpoints have: each message; no attempt twice; in order where that was asked for."""
        received = Log(data.parent / "received.jsonl").more()
        taken = [(each.endpoint, each.message_id, each.attempt) for each in received]
        assert len(taken) == len(set(taken)), "an attempt was made twice"
        assert all(each.is_verified and each.status == 200 for each in received)
        firsts = {
            name: list(dict.fromkeys(each.message_id for each in received if each.endpoint == name))
            for name in ("e0", "e1")
        }
        with connected(None, data) as engine, engine.connect() as connection:
            columns = (tables.deliveries.c.message_id, tables.deliveries.c.state)
            states = connection.execute(select(*columns).order_by(columns[0])).tuples().all()
        return {"in order": firsts["e0"], "sent": sorted(firsts["e1"]), "deliveries": list(states)}

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """Nothing is called sent that no endpoint has."""
        found = self.look(data)
        there = {*found["in order"], *found["sent"]}  # type: ignore[misc]
        done = {message for message, state in found["deliveries"] if state == "sent"}  # type: ignore[attr-defined]
        assert done <= there
        in_order = found["in order"]
        assert in_order == after["in order"][: len(in_order)]  # type: ignore[index,arg-type]
