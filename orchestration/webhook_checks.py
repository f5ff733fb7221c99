"""What must hold of the endpoints told of changes: verdicts over ENDPOINTS rows, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import polars as pl

from ingest.schema import Schema
from orchestration import explained
from orchestration.checks import Verdict
from orchestration.constants import DEAD_LETTERS_S, MAX_DELIVERY_WAIT_S
from registry.delivery_log import EndpointSummary
from registry.tables import SubscriptionState

# A row an endpoint that was not unsubscribed. Of its URL only the host: paths hold tokens.
ENDPOINTS: Schema = {
    "subscription": pl.Int64,
    "host": pl.String,
    "state": pl.String,
    "reason": pl.String,  # why it is disabled
    "since": pl.Datetime("us"),  # of the state
    "paused_until": pl.Datetime("us"),  # by its Retry-After, or because it fails; null: it is not
    "due": pl.Int64,  # deliveries that should be gone
    "waits_s": pl.Float64,  # the oldest of them; null: none
    "sent": pl.Int64,  # ever
    "failed": pl.Int64,  # tried, and tried again
    "dead": pl.Int64,  # and still in the log
    "newly_dead": pl.Int64,  # in the last DEAD_LETTERS_S
}

_NAMED = 5  # endpoints of a message; the table has them all


@dataclass(frozen=True)
class Check:
    """One check: what it says of ENDPOINTS rows."""

    description: str
    severity: dg.AssetCheckSeverity
    judge: Callable[[pl.DataFrame], Verdict]


def endpoints(
    summaries: Iterable[EndpointSummary], newly_dead: Mapping[int, int], now_us: int
) -> pl.DataFrame:
    """ENDPOINTS rows, the worst first: disabled, then by how long it waits, then by what was given up."""
    rows = [
        {
            "subscription": each.subscription_id,
            "host": urlsplit(each.url).netloc,
            "state": each.state.value,
            "reason": each.reason,
            "since": _at(each.state_us),
            "paused_until": _at(each.paused_until_us) if each.paused_until_us > now_us else None,
            "due": each.due,
            "waits_s": None if each.oldest_due_us is None else (now_us - each.oldest_due_us) / 1e6,
            "sent": each.sent,
            "failed": each.failed,
            "dead": each.dead,
            "newly_dead": newly_dead.get(each.subscription_id, 0),
        }
        for each in summaries
    ]
    is_disabled = pl.col("state") == SubscriptionState.DISABLED.value
    order = (~is_disabled, pl.col("waits_s"), pl.col("newly_dead"), pl.col("subscription"))
    return pl.DataFrame(rows, ENDPOINTS).sort(*order, descending=[False, True, True, False], nulls_last=True)


def webhooks_on_time(rows: pl.DataFrame) -> Verdict:
    """No delivery to an active endpoint that takes them is due longer than MAX_DELIVERY_WAIT_S."""
    takes = (pl.col("state") == SubscriptionState.ACTIVE.value) & pl.col("paused_until").is_null()
    late = rows.filter(takes & (pl.col("waits_s") > MAX_DELIVERY_WAIT_S))
    if late.is_empty():
        paused = rows.filter(pl.col("paused_until").is_not_null() & (pl.col("due") > 0)).height
        aside = f"; {paused:,} that fail or asked for it are waited for" if paused else ""
        return Verdict("webhooks_on_time", True, f"every endpoint is told in time{aside}")
    waits = ((row["subscription"], f"{row['due']:,} for {row['waits_s'] / 60:,.0f} min") for row in _of(late))
    return Verdict(
        "webhooks_on_time",
        False,
        f"deliveries wait longer than {MAX_DELIVERY_WAIT_S // 60} min: {_told(waits, late.height)}. Is the "
        "endpoint slow, or its rate too low? Else start `earshot deliver` beside Dagster",
        late,
    )


def no_dead_letters(rows: pl.DataFrame) -> Verdict:
    """Nothing was given up within DEAD_LETTERS_S."""
    hours = DEAD_LETTERS_S // 3600
    dead = rows.filter(pl.col("newly_dead") > 0).sort("newly_dead", descending=True, maintain_order=True)
    if dead.is_empty():
        return Verdict("no_dead_letters", True, f"nothing was given up in {hours} h")
    counts = ((row["subscription"], f"{row['newly_dead']:,}") for row in _of(dead))
    return Verdict(
        "no_dead_letters",
        False,
        f"{int(dead['newly_dead'].sum()):,} deliveries were given up in {hours} h: "
        f"{_told(counts, dead.height)}. They are kept: `earshot replay --failed-since {hours}h` sends them "
        "again, `earshot deliveries --state dead` says why they failed",
        dead,
    )


def endpoints_enabled(rows: pl.DataFrame) -> Verdict:
    """No endpoint is disabled."""
    disabled = rows.filter(pl.col("state") == SubscriptionState.DISABLED.value)
    if disabled.is_empty():
        return Verdict("endpoints_enabled", True, f"all of {rows.height:,} endpoints are sent to")
    why = (
        (row["subscription"], f"since {row['since']:%Y-%m-%d %H:%M}: {row['reason']}")
        for row in _of(disabled)
    )
    return Verdict(
        "endpoints_enabled",
        False,
        f"nothing is sent to {disabled.height:,} of {rows.height:,} endpoints: "
        f"{_told(why, disabled.height)}. What they miss is kept: once one is mended, `earshot resume ID`, "
        "then `earshot replay`",
        disabled,
    )


def _of(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.head(_NAMED).to_dicts()


def _told(each: Iterable[tuple[object, str]], of: int) -> str:
    named = "; ".join(f"subscription {number} ({what})" for number, what in each)
    return named if of <= _NAMED else f"{named} and {of - _NAMED:,} more"


def _at(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None)


CHECKS = {
    "webhooks_on_time": Check(
        explained.check(
            f"No endpoint that takes them waits longer than {MAX_DELIVERY_WAIT_S // 60} min for a change.",
            "is the endpoint slow, or its rate too low? Else start `earshot deliver` beside Dagster.",
        ),
        dg.AssetCheckSeverity.WARN,
        webhooks_on_time,
    ),
    "no_dead_letters": Check(
        explained.check(
            f"No webhook was given up in the last {DEAD_LETTERS_S // 3600} h.",
            "`earshot deliveries --state dead` says why; once that is mended, the job `replay_webhooks` "
            "sends them again.",
        ),
        dg.AssetCheckSeverity.WARN,
        no_dead_letters,
    ),
    "endpoints_enabled": Check(
        explained.check(
            "Every endpoint is sent to.",
            "tell the owner of the one that is disabled; once it is mended `earshot resume ID`, then the job "
            "`replay_webhooks`.",
        ),
        dg.AssetCheckSeverity.WARN,
        endpoints_enabled,
    ),
}
