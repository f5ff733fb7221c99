"""Whether an endpoint is sent to: paused while it fails or asks for it, probed, disabled (UPDATES §5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from serving.webhooks.outcomes import Outcome, Result

_SECOND_US = 1_000_000
# Failures in a row from which on only one delivery at a time goes out: the probe.
PROBE_AFTER = 5
# Before the first probe, the second, …; the last one for ever.
PAUSES_S = (5, 30, 60, 120, 300)
DISABLE_AFTER_S = 5 * 24 * 3600


@dataclass(frozen=True)
class Health:
    """How an endpoint fares: columns of `registry.tables.subscriptions`."""

    failures: int = 0  # in a row; of requests that were out at the same time one counts
    failing_since_us: int | None = None  # the first of them
    failed_us: int | None = None  # the last that counted
    succeeded_us: int | None = None
    paused_until_us: int = 0


def after(health: Health, result: Result, now_us: int, begun_us: int) -> tuple[Health, str | None]:
    """The health after an attempt that ended now, and why the endpoint is to be disabled (None: it is not).

    A success forgets all failures. A failure with Retry-After pauses the whole endpoint for so long; from the
    fifth failure in a row on each one pauses it anyway. 410 disables at once, any other failure once none has
    succeeded for five days. What was interrupted says nothing. A request that was out already when the last
    failure was known fails for the same reason: it does not count again.
    """
    if result.is_success:
        # Below the probes only Retry-After pauses; an answer to a request made before does not end that.
        is_asked_for = health.failures < PROBE_AFTER
        paused_until_us = health.paused_until_us if is_asked_for else 0
        return Health(succeeded_us=now_us, paused_until_us=paused_until_us), None
    if not result.is_failure:
        return health, None
    is_counted = health.failed_us is None or begun_us > health.failed_us
    failures = health.failures + is_counted
    since_us = now_us if health.failing_since_us is None else health.failing_since_us
    pause_s = max(_pause_s(failures) if is_counted else 0, result.retry_after_s or 0)
    health = replace(
        health,
        failures=failures,
        failing_since_us=since_us,
        failed_us=now_us if is_counted else health.failed_us,
        paused_until_us=max(health.paused_until_us, now_us + pause_s * _SECOND_US if pause_s else 0),
    )
    if result.outcome is Outcome.GONE:
        return health, "it answered 410 Gone"
    if now_us - since_us >= DISABLE_AFTER_S * _SECOND_US:
        since = datetime.fromtimestamp(since_us // _SECOND_US, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return health, f"all {failures} attempts since {since} failed, the last one: {result.detail}"
    return health, None


def _pause_s(failures: int) -> int:
    if failures < PROBE_AFTER:
        return 0
    return PAUSES_S[min(failures - PROBE_AFTER, len(PAUSES_S) - 1)]
