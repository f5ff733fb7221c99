"""The command `earshot deliver`: send webhooks within seconds, beside Dagster or without it."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer
from rich.console import Console

from earshot.commands import Output
from earshot.registry_at_hand import registry_failures_told
from ingest.settings import Settings


def deliver(
    once: Annotated[bool, typer.Option("--once", help="send what is due, then end")] = False,
    budget: Annotated[
        float, typer.Option(min=1, help="with --once: begin no request after so many seconds")
    ] = 60,
    output: Output = "table",
) -> None:
    """Send change webhooks as they come due, until Ctrl-C.

    With --once the requests that are out when the budget ends are waited for: 15 s more at most.

    Several senders share the endpoints between them, also with Dagster's runs: no request is made twice.
    """
    from earshot.show import print_rows, say
    from ingest import own_log
    from registry.subscriptions import ENDPOINT_SHARDS
    from serving.webhooks.deliver import Delivered, DeliverSettings, send_settings
    from serving.webhooks.deliver import deliver as delivering

    settings, screen, stop = Settings.from_env(), Console(stderr=True), threading.Event()
    how = DeliverSettings(budget_s=budget if once else None, send=send_settings(settings))
    own_log.set_up(settings)
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: _stop(stop))
    if not once:
        say(screen, "sending", "change webhooks as they come due; Ctrl-C ends it", "green")

    def tell(so_far: Delivered) -> None:
        if screen.is_terminal:
            told = f"{so_far.total('sent'):,} sent, {so_far.total('failed'):,} failed"
            screen.print(f"{told}, {so_far.total('dead'):,} given up", end="\r", highlight=False)

    with registry_failures_told():
        delivered = delivering(settings, range(ENDPOINT_SHARDS), how, stop, told=tell)
    totals = {
        **{name: delivered.total(name) for name in ("sent", "failed", "dead")},
        "disabled": len(delivered.disabled),
        "interrupted": delivered.interrupted,
        "seconds": round(delivered.seconds, 1),
    }
    print_rows([totals], list(totals), output)
    if once and not delivered.held:
        say(screen, "note", "another sender is at all endpoints", "yellow")


def _stop(stop: threading.Event) -> None:
    """The first signal ends it in order: requests that are out are waited for. The second one at once."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()
