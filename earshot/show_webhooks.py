"""How answers about webhooks look: endpoints, deliveries, attempts, one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot.endpoint_answer import Facts, asked_for
from earshot.podcast_status import span
from earshot.show import plain, print_rows
from earshot.times import shown
from registry.delivery_log import EndpointSummary, LoggedAttempt, LoggedDelivery
from registry.subscriptions import Subscription
from serving.webhooks.outcomes import Result

# Columns of sentences and URLs → as narrow as they may be folded.
_FOLDED = {"url": 20, "state": 12, "reason": 12, "detail": 16, "answer": 12}
_LEFT_OUT = (
    "tenant", "sequence", "tries", "answer", "failed", "sent", "created", "reason", "type", "dead", "status",
    "last_success",
)  # fmt: skip
_LISTED = ("id", "tenant", "url", "state", "waiting", "due", "failed", "sent", "dead", "last_success")
_LOGGED = (
    "message_id", "subscription", "type", "podcast_key", "sequence", "changes", "state", "reason",
    "created", "due", "attempts", "ended", "replays",
)  # fmt: skip
_SHOWN = (
    "message_id", "endpoint", "type", "sequence", "state", "tries", "created", "ended or due", "reason",
)  # fmt: skip
_SHOWN_ATTEMPT = ("endpoint", "number", "started", "outcome", "status", "ms", "detail", "answer")
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
        is_rotating = len(of.secrets(now_us)) > 1
        until = shown(of.secret_until_us) if is_rotating else None
        row = described(of) | {"previous_signs_until": until} | _fares(fares)
        if output == "table":
            row["state"] += f": {of.reason}" if of.reason else ""
            row["last_success"] = _short(fares.succeeded_us)
            if row["previous_signs_until"]:
                row["state"] += f", previous secret signs until {_short(of.secret_until_us)}"
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


def endpoint(facts: Facts) -> dict[str, Any]:
    """How the endpoint of an answer fares."""
    fares = facts.fares
    return {
        "id": fares.subscription_id,
        "url": fares.url,
        "state": fares.state,
        "reason": fares.reason,
        "state_since": shown(fares.state_us),
        **_fares(fares),
        "next_due": shown(fares.next_due_us),
        "held_up_by": facts.head.message_id if facts.head is not None and facts.head.failures else None,
        "sender": facts.sender,
        "last_request_to_anybody": shown(facts.requested_us),
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


def show_result(result: Result, message_id: str, output: str) -> None:
    """What one request came to."""
    row = {"webhook-id": message_id} | asdict(result)
    if output == "json":
        print(json.dumps(row, ensure_ascii=False))
    else:
        _show_one(row, ("webhook-id", "outcome", "status", "ms", "detail", "answer"))


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
    # What is the same in every row needs no column.
    is_one = len({each.subscription_id for each in rows}) == 1
    for row, each in zip(listed, rows, strict=True):
        row |= {"endpoint": each.subscription_id, "tries": each.attempts, "created": _short(each.created_us)}
        row["ended or due"] = _short(each.due_us if each.ended_us is None else each.ended_us)
    _table(listed, [name for name in _SHOWN if not (is_one and name == "endpoint")])


def show_attempts(rows: Sequence[dict[str, Any]], output: str) -> None:
    """All attempts of messages."""
    if output == "table":
        is_one = len({row["subscription"] for row in rows}) == 1
        names = [name for name in _SHOWN_ATTEMPT if not (is_one and name == "endpoint")]
        _table(
            [row | {"endpoint": row["subscription"], "started": _shortened(row["started"])} for row in rows],
            names,
        )
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


def _short(at_us: int | None) -> str | None:
    return _shortened(shown(at_us))


def _shortened(at: str | None) -> str | None:
    """MM-DD HH:MM:SS of an ISO time, UTC: a log of weeks needs no year."""
    return None if at is None else at[5:-1].replace("T", " ")


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Ids, times and names stay in one piece: they are copied. Only sentences and URLs are folded.

    Where the terminal is too narrow for that, columns are left out, those of _LEFT_OUT first.
    """
    console, columns = Console(), list(columns)
    texts = {name: ["-" if row[name] is None else str(row[name]) for row in rows] for name in columns}
    wide = {name: max(map(len, [name, *texts[name]])) for name in columns}
    least = {name: min(size, _FOLDED.get(name, size)) for name, size in wide.items()}
    left_out = []
    for name in _LEFT_OUT:
        if name in columns and sum(least[each] + 3 for each in columns) + 1 > console.width:
            columns.remove(name)
            left_out.append(name)
    table = Table()
    for name in columns:
        is_number = bool(rows) and isinstance(rows[0][name], int)
        table.add_column(
            name,
            overflow="fold",
            no_wrap=name not in _FOLDED,
            min_width=least[name],
            justify="right" if is_number else "left",
        )
    for place in range(len(rows)):
        table.add_row(*(plain(texts[name][place]) for name in columns))
    console.print(table)
    if left_out:
        what = f"left out in this width: {', '.join(left_out)}; --output csv has all"
        Console(stderr=True).print(what, style="dim", soft_wrap=True)


def _print_flat(rows: Sequence[dict[str, Any]], output: str) -> None:
    """JSON as it is; in CSV lists become a|b."""
    if output == "csv":
        rows = [
            {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
            for row in rows
        ]
    print_rows(rows, list(rows[0]) if rows else [], output)
