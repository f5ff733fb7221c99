"""What a message says: as text for e-mail, as JSON for the webhook."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.settings import Settings
from serving.alerts.alert import link
from serving.alerts.news import Item, What
from serving.alerts.state import Known
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


@dataclass(frozen=True)
class Where:
    """Which installation a message is from, and where to read on."""

    host: str
    data: str  # its data folder
    dagster_url: str | None = None
    docs_url: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Where:
        host, data = socket.gethostname(), str(settings.data.absolute())
        return cls(
            printable(host, 100), printable(data, _LINE_CHARS), settings.dagster_url, settings.docs_url
        )

    def link(self, alert: Known) -> str:
        return link(alert.kind, alert.run_id, self.dagster_url, self.docs_url)

    @property
    def told(self) -> str:
        dagster = f", {self.dagster_url}" if self.dagster_url else ""
        return f"{self.host}, {self.data}{dagster}"


def subject(items: Sequence[Item], where: Where) -> str:
    """One line: where, the worst first, then how many others."""
    counts = Counter(item.what for item in items)
    numbers = ", ".join(f"{counts[what]:,} {what}" for what in What if counts[what])
    first = items[0]
    head = "over" if first.what is What.RESOLVED else str(first.alert.severity)
    tail = f" ({numbers})" if len(items) > 1 else ""
    begun = f"[Earshot {where.host}] {head}: "
    return begun + _shortened(first.alert.wrong, _SUBJECT_CHARS - len(begun) - len(tail)) + tail


def _shortened(told: str, most: int) -> str:
    """At most so many characters, whole words."""
    told = " ".join(printable(told, _LINE_CHARS).split())
    if len(told) <= most:
        return told
    return (told[: most - 2].rpartition(" ")[0] or told[: most - 2]).rstrip(" ,.;:") + " …"


def text(items: Sequence[Item], where: Where, again_us: int) -> str:
    """The body of an e-mail: what is wrong, what to do, since when, where to read on."""
    parts = [f"At {where.told}\n"]  # a line that begins with "From " gets a sign before it on its way
    for what, head in _HEADS.items():
        of_it = [item.alert for item in items[:MOST] if item.what is what]
        if not of_it:
            continue
        lines = [f"{head}:", ""]
        for each in of_it:
            lines.append(f"* {each.severity}: {_line(each.wrong)}")
            if what is What.RESOLVED:
                lines.append(f"  {_lasted(each)}")
            else:
                lines.append(f"  What to do: {_line(each.do)}")
                lines.append(
                    f"  First seen {_when(each.first_us)}, last {_when(each.last_us)}, {_times(each.count)}"
                )
            lines += [f"  {where.link(each)}", ""]
        parts.append("\n".join(lines))
    if len(items) > MOST:
        parts.append(f"And {len(items) - MOST:,} more: `earshot alerts list` shows all that are there now.\n")
    if any(item.what is not What.RESOLVED for item in items):
        hours = again_us / 3_600_000_000
        parts.append(
            f"You hear of the same again after {hours:g} h, sooner if it gets worse; `earshot alerts list` "
            "shows what is there now.\n"
        )
    return "\n".join(parts)


def _lasted(each: Known) -> str:
    first, last = _when(each.first_us), _when(each.last_us)
    return f"It was seen at {first}." if first == last else f"It lasted from {first} to {last}."


def body(items: Sequence[Item], where: Where, now_us: int) -> str:
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
            "link": where.link(item.alert),
        }
        for item in items[:MOST]
    ]
    return _json(
        {
            "type": TYPE,
            "timestamp": _iso(now_us),
            "data": {
                "installation": {"host": where.host, "data": where.data, "dagster_url": where.dagster_url},
                "alerts": alerts,
                "more": max(len(items) - MOST, 0),
            },
        }
    )


def test_body(now_us: int, where: Where) -> str:
    told = {"text": f"{TEST_TEXT} At {where.told}"}
    return _json({"type": TEST_TYPE, "timestamp": _iso(now_us), "data": told})


TEST_SUBJECT = "[Earshot] a test: alerts arrive here"
TEST_TEXT = "The test message of `earshot alerts test`: nothing is wrong, and alerts arrive here."


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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
