"""What a run of webhooks came to: what was committed against what the receiver saw and the registry holds."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from bench.report import Figures
from bench.webhooks_world import Hook
from earshot.made_up.webhooks.receiver import Received

Told = tuple[str, int, int]  # endpoint, podcast_key, sequence
Committed = Mapping[tuple[int, int], int]  # (podcast_key, sequence) → when, epoch µs

FAULTS = (
    "lost",
    "duplicate_ids_differ",
    "same_attempts",
    "out_of_order",
    "unverified",
    "followed_redirects",
    "strange",
)


def wanted(followers: Mapping[int, Sequence[Hook]], committed: Committed) -> dict[Told, int]:
    """All deliveries that are to be made, and when each change was committed."""
    return {
        (hook.name, key, sequence): at_us
        for (key, sequence), at_us in committed.items()
        for hook in followers[key]
    }


def tallied(
    hooks: Sequence[Hook], due: Mapping[Told, int], received: Sequence[Received], waiting: Collection[Told]
) -> Figures:
    """Counts and times, whole milliseconds; see docs/performance.md for what each means.

    due: deliveries to be made (`wanted`). received: in order of arrival. waiting: what the registry holds as
    pending, being sent or given up.
    """
    healthy = {hook.name for hook in hooks if hook.is_healthy}
    known = {hook.name for hook in hooks}
    taken = [one for one in received if 200 <= one.status < 300 and one.is_verified]
    first_us: dict[Told, int] = {}
    for one in taken:
        for key, sequence in one.events:
            first_us.setdefault((one.endpoint, key, sequence), one.at_us)
    messages = Counter((one.endpoint, one.message_id) for one in taken)
    arrived = {told: at_us for told, at_us in first_us.items() if told[0] in healthy and told in due}
    waits = sorted((at_us - due[told]) / 1e6 for told, at_us in arrived.items())
    lasted_s = (max(arrived.values()) - min(due.values())) / 1e6 if arrived else 0.0
    return {
        "deliveries": len(due),
        "delivered": len(due.keys() & first_us.keys()),
        "waiting": len(due.keys() & set(waiting)),
        "requests": len(received),
        "lost": len(due.keys() - first_us.keys() - set(waiting)),
        "duplicates": sum(messages.values()) - len(messages),
        "duplicate_ids_differ": _told_under_two_ids(received),
        "same_attempts": _same_attempts(received),
        "out_of_order": _out_of_order({hook.name for hook in hooks if hook.is_ordered}, received),
        "unverified": sum(not one.is_verified for one in received if one.endpoint in known),
        "followed_redirects": sum(one.endpoint not in known for one in received),
        "strange": len(first_us.keys() - due.keys()),  # nobody committed it, or the endpoint follows it not
        "healthy_missing": sum(told[0] in healthy for told in due) - len(arrived),
        "healthy_p50_s": round(statistics.median(waits), 3) if waits else None,
        "healthy_p95_s": round(_quantile(waits, 0.95), 3) if waits else None,
        "healthy_max_s": round(waits[-1], 3) if waits else None,
        "events_per_s": round(len(arrived) / lasted_s, 1) if lasted_s else None,
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return ordered[math.ceil(len(ordered) * share) - 1]


def _told_under_two_ids(received: Sequence[Received]) -> int:
    """Changes that reached an endpoint under more than one webhook-id."""
    ids: dict[Told, set[str]] = defaultdict(set)
    for one in received:
        for key, sequence in one.events:
            ids[one.endpoint, key, sequence].add(one.message_id)
    return sum(len(of) > 1 for of in ids.values())


def _same_attempts(received: Sequence[Received]) -> int:
    """Requests that repeat an attempt of the same number."""
    attempts = Counter((one.endpoint, one.message_id, one.attempt) for one in received)
    return sum(attempts.values()) - len(attempts)


def _out_of_order(ordered: Collection[str], received: Sequence[Received]) -> int:
    """First arrivals at ordered endpoints, whatever was answered, after a later change of the podcast."""
    seen: set[Told] = set()
    last: dict[tuple[str, int], int] = {}
    wrong = 0
    for one in received:
        if one.endpoint not in ordered:
            continue
        for key, sequence in one.events:
            told, lane = (one.endpoint, key, sequence), (one.endpoint, key)
            if told in seen:
                continue
            seen.add(told)
            wrong += sequence < last.get(lane, 0)
            last[lane] = max(sequence, last.get(lane, 0))
    return wrong
