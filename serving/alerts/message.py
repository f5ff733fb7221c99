"""What a message says: as text for e-mail, as JSON for the webhook."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from serving.alerts.alert import link
from serving.alerts.news import Item, What
from serving.webhooks.outcomes import printable

TYPE = "alerts"  # of the webhook's message
TEST_TYPE = "alerts.test"
MOST = 50  # alerts of a message, the worst first
_SUBJECT_CHARS, _LINE_CHARS = 150, 1000
_HEADS = {
    What.NEW: "New",
    What.WORSE: "Worse than you were told",
    What.AGAIN: "Still so",
    What.RESOLVED: "Over",
}


def subject(items: Sequence[Item]) -> str:
    """One line: the worst first, then how many others."""
    counts = Counter(item.what for item in items)
    numbers = ", ".join(f"{counts[what]} {what}" for what in What if counts[what])
    first = items[0]
    told = f"[Earshot] {first.alert.severity}: {first.alert.wrong}"
    if first.what is What.RESOLVED:
        told = f"[Earshot] over: {first.alert.wrong}"
    if len(items) > 1:
        told += f" ({numbers})"
    return printable(told, _SUBJECT_CHARS)


def text(items: Sequence[Item], dagster_url: str | None, again_us: int) -> str:
    """The body of an e-mail: what is wrong, what to do, since when, where to read on."""
    parts = []
    for what, head in _HEADS.items():
        of_it = [item.alert for item in items[:MOST] if item.what is what]
        if not of_it:
            continue
        lines = [f"{head}:", ""]
        for each in of_it:
            lines.append(f"* {each.severity}: {_line(each.wrong)}")
            if what is What.RESOLVED:
                lines.append(f"  It lasted from {_when(each.first_us)} to {_when(each.last_us)}.")
            else:
                lines.append(f"  What to do: {_line(each.do)}")
                lines.append(
                    f"  First seen {_when(each.first_us)}, last {_when(each.last_us)}, {_times(each.count)}"
                )
            lines += [f"  {link(each.kind, each.run_id, dagster_url)}", ""]
        parts.append("\n".join(lines))
    if len(items) > MOST:
        parts.append(f"And {len(items) - MOST:,} more.\n")
    hours = again_us / 3_600_000_000
    parts.append(
        f"You hear of the same again after {hours:g} h, sooner if it gets worse; `earshot alerts list` "
        "shows what is there now.\n"
    )
    return "\n".join(parts)


def body(items: Sequence[Item], dagster_url: str | None, now_us: int) -> bytes:
    """The body of the webhook: type, timestamp, data.alerts, and in data.more how many were left out."""
    alerts = [
        {
            "event": item.what.value,
            "kind": item.alert.kind.value,
            "subject": printable(item.alert.subject, _LINE_CHARS),
            "severity": item.alert.severity.value,
            "wrong": _line(item.alert.wrong),
            "do": _line(item.alert.do),
            "first_seen": _iso(item.alert.first_us),
            "last_seen": _iso(item.alert.last_us),
            "count": item.alert.count,
            "run_id": item.alert.run_id,
            "link": link(item.alert.kind, item.alert.run_id, dagster_url),
        }
        for item in items[:MOST]
    ]
    return _json(
        {
            "type": TYPE,
            "timestamp": _iso(now_us),
            "data": {"alerts": alerts, "more": max(len(items) - MOST, 0)},
        }
    )


def test_body(now_us: int) -> bytes:
    told = {"text": TEST_TEXT}
    return _json({"type": TEST_TYPE, "timestamp": _iso(now_us), "data": told})


TEST_SUBJECT = "[Earshot] a test: alerts arrive here"
TEST_TEXT = "The test message of `earshot alerts test`: nothing is wrong, and alerts arrive here."


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _line(told: str) -> str:
    return printable(told, _LINE_CHARS)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _when(us: int) -> str:
    return f"{_instant(us):%Y-%m-%d %H:%M} UTC"


def _iso(us: int) -> str:
    return f"{_instant(us):%Y-%m-%dT%H:%M:%SZ}"


def _instant(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC)
