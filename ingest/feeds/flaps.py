"""Flap damping: a feed that alternates between contents is told once, not at every poll (UPDATES, Bad input).

Servers behind one name may serve different copies. A content that comes back once (A, B, A) is a correction
and is told. From the second return within 24 h on it is damped: the last good record stays until the same
content was seen in three polls in a row, or 24 h passed since the last change told. A content that was never
seen before is news and is told at once.

The log (`STATE.recent_hashes`, `recent_us`, newest last) holds when each content began to be seen. Its last
`STATE.flaps` entries are polls that were damped, one each; the entry before them is the last good content,
without damped ones the last of all.
"""

from __future__ import annotations

from ingest.feeds.schema import Record
from ingest.schema import DAY_US

WINDOW_US = DAY_US
SETTLED_POLLS = 3
RETURNS_TOLD = 1
_MOST_ENTRIES = 16

_Log = list[tuple[int, int]]


def last_good(state: Record) -> int:
    """The content hash of the last good record; 0 before the first."""
    log, damped = _log(state)
    return log[-1 - damped][0] if log else 0


def observed(state: Record, content_hash: int, now_us: int) -> tuple[Record, bool]:
    """(state with the log continued, whether this content is damped) after a poll that brought it."""
    log, damped = _log(state)
    if not log:
        return _with(state, [(content_hash, now_us)], 0), False
    good = len(log) - 1 - damped
    if content_hash == log[good][0]:
        if damped:
            log.append((content_hash, now_us))
        return _with(state, log, 0), False
    log = _recent(log, good, now_us)
    is_damped = (
        _is_return(log, content_hash)
        and _returns([*log, (content_hash, now_us)]) > RETURNS_TOLD
        and not _has_settled(log, damped, content_hash)
        and now_us - (state["changed_us"] or 0) < WINDOW_US
    )
    if is_damped:
        return _with(state, [*log, (content_hash, now_us)], damped + 1), True
    while len(log) > 1 and log[-1][0] == content_hash:
        log.pop()
    return _with(state, [*log, (content_hash, now_us)], 0), False


def seen_again(state: Record, now_us: int) -> Record:
    """The state after a poll that brought the last good content: 304, or the same body."""
    log, damped = _log(state)
    return observed(state, log[-1 - damped][0], now_us)[0] if damped else state


def contents(state: Record) -> int:
    """Between how many contents the feed alternates."""
    return len(set(state["recent_hashes"] or ()))


def _log(state: Record) -> tuple[_Log, int]:
    log = list(zip(state["recent_hashes"] or (), state["recent_us"] or (), strict=True))
    return log, min(state["flaps"] or 0, max(len(log) - 1, 0))


def _with(state: Record, log: _Log, damped: int) -> Record:
    """Bounded: the oldest entries go first, then damped ones, never the last good one."""
    while len(log) > _MOST_ENTRIES:
        if damped < len(log) - 1:
            del log[0]
        else:
            del log[1]
            damped -= 1
    return state | {
        "recent_hashes": [content for content, _ in log],
        "recent_us": [since for _, since in log],
        "flaps": damped,
    }


def _recent(log: _Log, good: int, now_us: int) -> _Log:
    """Without what was last seen before the window: a content is seen until the next one begins."""
    first = 0
    while first < good and log[first + 1][1] <= now_us - WINDOW_US:
        first += 1
    return log[first:]


def _is_return(log: _Log, content_hash: int) -> bool:
    return any(content == content_hash for content, _ in log)


def _returns(log: _Log) -> int:
    """How often a content came back after another one."""
    seen: set[int] = set()
    returns, last = 0, None
    for content, _ in log:
        returns += content != last and content in seen
        seen.add(content)
        last = content
    return returns


def _has_settled(log: _Log, damped: int, content_hash: int) -> bool:
    """With this poll the content was seen in enough polls in a row."""
    others = SETTLED_POLLS - 1
    return damped >= others and all(content == content_hash for content, _ in log[-others:])
