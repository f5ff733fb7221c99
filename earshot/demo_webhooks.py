"""The demo's subscriber: an endpoint of its own process that is told of each change by webhook.

It subscribes after the nine days are played, as anybody would: its address is challenged, its messages are
signed. What it received is held against the changes that were told since.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import polars as pl
from rich.console import Console

from earshot.made_up.webhooks.endpoints import PATH, Endpoint
from earshot.made_up.webhooks.receiver import CHALLENGE, Log, Received, Receiving
from ingest.feeds.schema import SHARDS, ChangeType
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.database import connected
from registry.outbox import hand_over
from registry.subscribing import new_secret, wish
from registry.subscriptions import ENDPOINT_SHARDS, Subscription, add, listing
from serving.webhooks.challenge import challenge
from serving.webhooks.deliver import DeliverSettings, deliver, send_settings
from serving.webhooks.send import Sender

HOST = "subscriber.example"  # leads to the receiver, whatever its port is this time
_NAME = "changes"
_URL = f"http://{HOST}{PATH}{_NAME}"
_BUDGET_S = 15.0  # of the last delivery: Dagster's run may just have been ended, and its lease be in force
_AGAIN_S = 0.5
WHEN = "once the nine days had been played"  # it subscribed

Change = tuple[int, int]  # podcast_key, sequence


class DemoSubscriber:
    """An endpoint that is told of all changes, and what it has received; `hosts`: where its name leads."""

    def __init__(self, receiver: Receiving) -> None:
        self._receiver, self._log = receiver, Log(receiver.log)
        self._received: list[Received] = []
        self.hosts = {HOST: f"127.0.0.1:{receiver.port}"}
        self._subscription: Subscription | None = None

    def subscribe(self, settings: Settings) -> None:
        """Once for a data folder: started again it is the same one. `settings` know `hosts`."""
        with connected(settings.registry, settings.data) as engine:
            known = [each for each in listing(engine) if each.url == _URL]
            secret = known[0].secret if known else new_secret()
            self._receiver.become({_NAME: Endpoint(secrets=(secret,))})
            if not known:
                asyncio.run(_challenged(settings, secret))
                known = [add(engine, wish(_URL, secret=secret), utc_now_us())]
        self._subscription = known[0]

    def follow(self, found_us: Mapping[Change, int], title: Callable[[int], str]) -> Iterator[str]:
        """The webhooks received since the last look, a line each.

        found_us: when each change was detected; title: of the podcast with a key.
        """
        for each in self._more():
            at = time.strftime("%H:%M:%S", time.localtime(each.at_us / 1e6))
            key, sequence = each.events[0] if each.events else (0, 0)  # of a notice
            first_us = found_us.get((key, sequence), each.at_us)
            how = _trouble(each) or f"{(each.at_us - first_us) / 1e6:.1f} s after it was found"
            yield f"{at}  {title(key):<9}  {each.type:<16}  webhook {each.message_id}  {how}"

    def show(self, screen: Console, changes: pl.DataFrame) -> None:
        """What was received beside the CHANGES that were told since it subscribed: none is on its way."""
        self._more()
        screen.print(f"{len(self._received):,} webhooks: {self._verdict(changes)}", soft_wrap=True)
        screen.print(f"Fewer than changes: it subscribed {WHEN}.", soft_wrap=True)

    def _verdict(self, changes: pl.DataFrame) -> str:
        assert self._subscription is not None
        since = changes.filter(
            ~pl.col("is_minor")
            & (pl.col("change") != ChangeType.PODCAST_ADDED.value)
            & (pl.col("detected_us") >= self._subscription.created_us)
        )
        wanted = set(since.select("podcast_key", "sequence").iter_rows())
        good = [each for each in self._received if not _trouble(each)]
        times = Counter((key, sequence) for each in good for key, sequence in each.events)
        wrong = {
            "did not arrive": len(wanted - times.keys()),
            "were never told": len(times.keys() - wanted),
            "came again": sum(number > 1 for number in times.values()),
            **Counter(filter(None, map(_trouble, self._received))),
        }
        if any(wrong.values()):
            what = ", ".join(f"{number:,} {what}" for what, number in wrong.items() if number)
            return f"of the {len(wanted):,} changes told since it subscribed {what}"
        return f"all of the {len(wanted):,} changes told since it subscribed, each once, signatures verified"

    def _more(self) -> list[Received]:
        more = [each for each in self._log.more() if each.type != CHALLENGE]
        self._received += more
        return more


def _trouble(received: Received) -> str:
    """What is wrong with it; nothing, where it was taken."""
    if not received.is_verified:
        return "with a wrong signature"
    return "" if received.status == 200 else f"answered with {received.status}"


def deliver_now(settings: Settings) -> None:
    """Send what is told and not sent yet; waits for shards that a sender before us left."""
    until = time.monotonic() + _BUDGET_S
    how = DeliverSettings(budget_s=_BUDGET_S, send=send_settings(settings))
    with connected(settings.registry, settings.data) as engine:
        for shard in range(SHARDS):
            hand_over(engine, settings.lake_dir, shard, utc_now_us())
    while deliver(settings, range(ENDPOINT_SHARDS), how).held < ENDPOINT_SHARDS:
        if time.monotonic() > until:
            return
        time.sleep(_AGAIN_S)


async def _challenged(settings: Settings, secret: str) -> None:
    async with Sender(send_settings(settings)) as sender:
        await challenge(sender, _URL, secret, utc_now_us())
