"""What an explanation says in words: thresholds, verdicts, reasons, times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from earshot.explain.answer import Explanation
from earshot.explain.story import Seen
from serving.reasons import BELOW_THRESHOLD, DUPLICATE, REASONS, Reason

RESTS_ON = {
    "episode": "its own size, duration and ID3 size",
    "log": "its own duration and ID3 size, and the size servers told",
    "show": "the averages of its show, where its own evidence is missing",
    "default": "128 kbit/s, since neither it nor its show has evidence",
}


def threshold_lines(explanation: Explanation) -> Iterable[str]:
    """What one minute of the episode is and on what that rests, a line an enclosure (R13 to R15)."""
    several = len(explanation.thresholds) > 1
    for row in explanation.thresholds:
        source = row["threshold_source"]
        yield (
            f"One minute is {row['threshold_bytes']:,} bytes of content{_formula(row)}; evidence: "
            f"{source} ({RESTS_ON[source]}){': ' + row['enclosure_url'] if several else ''}"
        )
    if not explanation.thresholds:
        default = f"evidence: default ({RESTS_ON['default']})"
        yield f"One minute is 960,000 bytes of content, or all of a smaller file; {default}"


def _formula(row: dict[str, Any]) -> str:
    size, header, duration = (row[name] for name in ("file_bytes", "header_bytes", "duration_s"))
    if not size or not duration:
        return ""
    if duration < 60:
        return f": all of {size:,} − {header:,} of the header"
    return f": 60 s × ({size:,} − {header:,} of the header) ÷ {duration:,g} s"


def verdict(seen: Seen) -> str:
    """Whether the window counts, and why."""
    more = seen.requests - 1
    further = f"; {more:,} further request{'s are' if more > 1 else ' is'} {DUPLICATE}" if more else ""
    if seen.threshold_bytes is None:
        return f"a download: a prefix counts requests, it sees no bytes (R32){further}"
    if seen.is_counted:
        enough = (told for told in seen.told if (told.running_bytes or 0) >= (seen.threshold_bytes or 0))
        by = next((f", reached by request {told.request_number}" for told in enough), "")
        return f"a download: {seen.content_bytes:,} bytes, {seen.threshold_bytes:,} needed{by}{further}"
    missing = seen.threshold_bytes - seen.content_bytes
    its = f"its {seen.requests:,} requests are" if more else "its request is"
    return (
        f"no download: {seen.content_bytes:,} bytes, {seen.threshold_bytes:,} needed, "
        f"{missing:,} are missing; {its} {BELOW_THRESHOLD}"
    )


def why(reason: str, rules_version: str | None, explanation: Explanation) -> dict[str, Any]:
    """A reason with its rule, its words and the list that judged, empty where none did."""
    known = REASONS.get(reason, Reason("", ""))  # a reason of a version before this one
    of_version = [row for row in explanation.lists if row["rules_version"] == rules_version]
    version = next((row["list_version"] for row in of_version if row["list"] == known.by_list), None)
    return {
        "reason": reason,
        "rule": known.rule,
        "words": known.words,
        "list": f"{known.by_list} {version}" if known.by_list and version else "",
        "rules_version": rules_version,
    }


def at(us: int, explanation: Explanation) -> datetime:
    seconds, micros = divmod(us, 1_000_000)
    instant = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return instant.astimezone(ZoneInfo(explanation.time_zone))
