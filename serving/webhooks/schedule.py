"""When a message is tried again, and when a digest is due (UPDATES §5)."""

from __future__ import annotations

import xxhash

from registry.digests import next_digest_us

__all__ = ["MAX_FAILURES", "RETRY_DELAYS_S", "next_digest_us", "retry_delay_us", "retry_us"]

_SECOND_US = 1_000_000
_MINUTE_S, _HOUR_S = 60, 3600
# After the first failure, the second, …: 75.6 h in all.
RETRY_DELAYS_S = (
    5,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
MAX_FAILURES = len(RETRY_DELAYS_S) + 1  # with this one a message is given up


def retry_delay_us(message_id: str, failures: int) -> int:
    """How long after failure number `failures` (1 … 9) the message is tried again.

    Full jitter: uniform in (0, delay], so that messages that failed together do not come back together. It
    follows from the message, so that a sender that died and its successor wait alike. Raises ValueError.
    """
    if not 1 <= failures < MAX_FAILURES:
        raise ValueError(f"no retry after failure {failures}: there are {MAX_FAILURES - 1}")
    delay_us = RETRY_DELAYS_S[failures - 1] * _SECOND_US
    share = xxhash.xxh3_64_intdigest(f"{message_id}:{failures}".encode()) + 1  # of 2**64
    return -(-delay_us * share >> 64)


def retry_us(message_id: str, failures: int, retry_after_s: int | None, now_us: int) -> int | None:
    """When a message that failed now for the `failures`th time is due again; None: it is given up.

    A longer Retry-After (of `outcomes.Result`, at most a day) counts instead of our delay.
    """
    if failures >= MAX_FAILURES:
        return None
    return now_us + max(retry_delay_us(message_id, failures), (retry_after_s or 0) * _SECOND_US)
