"""How answers about webhooks look: endpoints, deliveries, attempts, one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot.endpoint_answer import asked_for
from earshot.podcast_status import span
from earshot.show import plain, print_rows
from earshot.times import shown
from registry.delivery_log import EndpointSummary, LoggedAttempt, LoggedDelivery
from registry.subscriptions import Subscription
from serving.webhooks.outcomes import Result

_LISTED = ("id", "tenant", "url", "state", "waiting", "due", "failed", "sent", "dead", "last_success")
_LOGGED = (
    "message_id", "subscription", "type", "podcast_key", "sequence", "changes", "state", "reason",
    "created", "due", "attempts", "ended", "replays",
)  # fmt: skip
_SHOWN = (
    "message_id", "subscription", "type", "podcast_key", "sequence", "state", "attempts", "created",
    "ended or due", "reason",
)  # fmt: skip
_ATTEMPT = ("subscription", "number", "started", "outcome", "status", "ms", "detail", "answer", "sender")


def show_subscribed(added: Subscription, output: str) -> None:
    """A new subscription with its secret."""
    row = described(added) | {"secret": added.secret}
    if output == "table":
        _show_one(row | {"it gets": asked_for(added)}, ("id", "secret", "url", "tenant", "it gets"))
    else:
        _print_flat([row], output)


def show_secret(rotated: Subscription, output: str) -> None:
    """The new secret, and until when the one before signs."""
    row = {
        "id": rotated.subscription_id,
        "secret": rotated.secret,
        "previous_signs_until": shown(rotated.secret_until_us),
    }
    if output == "table":
        _show_one(row, row)
    else:
        print_rows([row], list(row), output)


def show_subscriptions(
    rows: Iterable[tuple[Subscription, EndpointSummary]], now_us: int, output: str
) -> None:
    """A row an endpoint."""
    listed = []
    for of, fares in rows:
        row = described(of) | _fares(fares)
        if output == "table":
            row["state"] += f": {of.reason}" if of.reason else ""
            if fares.paused_until_us > now_us:
                row["state"] += f", paused for {span(fares.paused_until_us - now_us)}"
        listed.append(row)
    if output == "table":
        _table(listed, _LISTED)
    else:
        _print_flat(listed, output)


def described(of: Subscription) -> dict[str, Any]:
    """All of a subscription but its secrets."""
    return {
        "id": of.subscription_id,
        "tenant": of.tenant,
        "url": of.url,
        "types": list(of.types),
        "podcasts": [str(key) for key in of.podcasts.keys],
        "labels": list(of.podcasts.labels),
        "fields": list(of.fields),
        "mode": of.mode,
        "cron": of.cron,
        "time_zone": of.time_zone,
        "batch_size": of.batch_size,
        "coalesce_s": of.coalesce_s,
        "is_ordered": of.is_ordered,
        "rate_per_s": of.rate_per_s,
        "created": shown(of.created_us),
        "state": of.state,
        "reason": of.reason,
        "state_since": shown(of.state_us),
    }


def _fares(fares: EndpointSummary) -> dict[str, Any]:
    return {
        "waiting": fares.waiting,
        "due": fares.due,
        "oldest_due": shown(fares.oldest_due_us),
        "failed": fares.failed,
        "sent": fares.sent,
        "dead": fares.dead,
        "failures_in_a_row": fares.failures,
        "failing_since": shown(fares.failing_since_us),
        "last_success": shown(fares.succeeded_us),
        "paused_until": shown(fares.paused_until_us or None),
    }


def show_result(result: Result, output: str) -> None:
    """What one request came to."""
    row = asdict(result)
    if output == "json":
        print(json.dumps(row, ensure_ascii=False))
    else:
        _show_one(row, ("outcome", "status", "ms", "detail", "answer"))


def logged(each: LoggedDelivery) -> dict[str, Any]:
    """A row of the log; keys as text: JavaScript's numbers are too small for them."""
    return {
        "message_id": each.message_id,
        "subscription": each.subscription_id,
        "type": each.type,
        "podcast_key": None if each.podcast_key is None else str(each.podcast_key),
        "sequence": each.sequence,
        "changes": each.changes,
        "state": each.state,
        "reason": each.reason,
        "created": shown(each.created_us),
        "due": shown(each.due_us),
        "attempts": each.attempts,
        "ended": shown(each.ended_us),
        "replays": each.replays,
    }


def attempted(each: LoggedAttempt, subscription_id: int) -> dict[str, Any]:
    """A row of a delivery's attempts."""
    return {
        "subscription": subscription_id,
        "number": each.number,
        "started": shown(each.started_us),
        "outcome": each.outcome or "open",
        "status": each.status,
        "ms": each.ms,
        "detail": each.detail,
        "answer": each.answer,
        "sender": each.owner,
    }


def show_deliveries(rows: Sequence[LoggedDelivery], output: str) -> None:
    """The log, the newest first."""
    listed = [logged(each) for each in rows]
    if output != "table":
        print_rows(listed, _LOGGED, output)
        return
    is_one = (
        len({each.subscription_id for each in rows}) == 1
    )  # what is the same in every row needs no column
    for row, each in zip(listed, rows, strict=True):
        row["ended or due"] = row["due"] if each.ended_us is None else row["ended"]
    _table(listed, [name for name in _SHOWN if not (is_one and name == "subscription")])


def show_attempts(rows: Sequence[dict[str, Any]], output: str) -> None:
    """All attempts of messages."""
    if output == "table":
        _table(rows, _ATTEMPT[:-1])
    else:
        print_rows(rows, _ATTEMPT, output)


def show_answer(sentences: Sequence[str]) -> None:
    """The reason first, the rest below."""
    console = Console()
    console.print(plain(sentences[0]), style="bold", soft_wrap=True)
    for sentence in sentences[1:]:
        console.print(plain(f"  {sentence}"), soft_wrap=True)


def _show_one(row: dict[str, Any], names: Iterable[str]) -> None:
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name in names:
        if row[name] not in (None, ""):
            table.add_row(plain(name.replace("_", " ")), plain(row[name]))
    Console().print(table)


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Ids stay in one piece: they are copied."""
    table = Table()
    for column in columns:
        is_number = bool(rows) and isinstance(rows[0][column], int)
        table.add_column(
            column,
            overflow="fold",
            no_wrap=is_number or column in ("message_id", "podcast_key"),
            justify="right" if is_number else "left",
        )
    for row in rows:
        table.add_row(*(plain("-" if row[column] is None else row[column]) for column in columns))
    Console().print(table)


def _print_flat(rows: Sequence[dict[str, Any]], output: str) -> None:
    """JSON as it is; in CSV lists become a|b."""
    if output == "csv":
        rows = [
            {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
            for row in rows
        ]
    print_rows(rows, list(rows[0]) if rows else [], output)
