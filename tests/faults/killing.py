"""SIGKILL at a named point: right before a step on files, a commit or a call that a function of ours makes.

Nothing of it is in the product. Python tells of each step on files (PEP 578), and who is on the stack says
which function makes it; flushes, commits of the registry and dbt's SQL are wrapped in the process that dies.
Decision 0033.
"""

from __future__ import annotations

import functools
import importlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from types import FrameType
from typing import Any

_AUDITED = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.link": "link",
    "os.symlink": "link",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "open": "open",
}
STEPS = (*dict.fromkeys(_AUDITED.values()), "fsync", "exchange", "commit")
ANY = ""  # as `where`: whoever makes the step
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Point:
    """Where a process dies: before the `nth` step `at` while `where` is on the stack.

    at: one of STEPS; "call": before the function `where` is called; "sql": before dbt's statement that
    contains the last part of `where` ("a>b": once one with the former part was sent).
    where: "module:qualified.name", and what its name is of; of SQL its text.
    """

    name: str
    at: str
    where: str
    nth: int = 1


class _Armed:
    def __init__(self, point: Point, marker: Path, is_counting: bool) -> None:
        self.point, self.marker, self.is_counting = point, str(marker), is_counting
        self.seen, self.is_dying, self.sql_seen = 0, False, 0
        self.lock = threading.RLock()

    def step(self, at: str, frame: FrameType | None) -> None:
        point = self.point
        if self.is_dying or at not in (point.at, point.at or at):
            return
        if point.where != ANY and not _is_on_stack(frame, point.where):
            return
        self.reached()

    def sql(self, text: str) -> None:
        parts = self.point.where.lower().split(">")
        if parts[self.sql_seen] not in text.lower():
            return
        if self.sql_seen < len(parts) - 1:
            self.sql_seen += 1
        else:
            self.reached()

    def reached(self) -> None:
        with self.lock:
            self.seen += 1
            if self.is_counting:
                return
            if self.seen < self.point.nth:
                return
            self.is_dying = True
            os.close(os.open(self.marker, os.O_CREAT | os.O_WRONLY))
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()  # no thread of ours goes a step further


def _is_on_stack(frame: FrameType | None, where: str) -> bool:
    module, _, name = where.partition(":")
    while frame is not None:
        code = frame.f_code
        if frame.f_globals.get("__name__") == module and code.co_qualname == name:
            return True
        frame = frame.f_back
    return False


def arm(point: Point, marker: Path, is_counting: bool = False) -> _Armed:
    """From now on this process dies at `point`, which it tells by the file `marker`; or only counts them."""
    armed = _Armed(point, marker, is_counting)
    if point.at == "call":
        _wrap_call(point.where, armed)
    elif point.at == "sql":
        _wrap_dbt(armed)
    else:
        _listen(armed)
    return armed


def _listen(armed: _Armed) -> None:
    def heard(event: str, given: tuple[Any, ...]) -> None:
        at = _AUDITED.get(event)
        if at is None or (at == "open" and not (isinstance(given[2], int) and given[2] & _WRITES)):
            return
        armed.step(at, sys._getframe(1))

    sys.addaudithook(heard)
    flush = os.fsync

    def fsync(handle: int) -> None:
        armed.step("fsync", sys._getframe(1))
        flush(handle)

    os.fsync = fsync
    _wrap_exchange(armed)
    _wrap_commit(armed)


def _wrap_exchange(armed: _Armed) -> None:
    from ingest import compaction

    exchange = compaction.exchange

    def exchanged(one: Path, other: Path) -> None:
        armed.step("exchange", sys._getframe(1))
        exchange(one, other)

    compaction.exchange = exchanged


def _wrap_commit(armed: _Armed) -> None:
    from sqlalchemy.engine.default import DefaultDialect

    commit = DefaultDialect.do_commit

    def committed(self: DefaultDialect, connection: Any) -> None:
        armed.step("commit", sys._getframe(1))
        commit(self, connection)

    DefaultDialect.do_commit = committed  # type: ignore[method-assign]


def _wrap_call(where: str, armed: _Armed) -> None:
    module, _, name = where.partition(":")
    *holders, last = name.split(".")
    holder: Any = functools.reduce(getattr, holders, importlib.import_module(module))
    real: Callable[..., Any] = getattr(holder, last)

    @functools.wraps(real)
    def called(*given: Any, **named: Any) -> Any:
        armed.reached()
        return real(*given, **named)

    setattr(holder, last, called)


def _wrap_dbt(armed: _Armed) -> None:
    from dbt.adapters.sql.connections import SQLConnectionManager

    query = SQLConnectionManager.add_query

    def add_query(self: Any, sql: str, *given: Any, **named: Any) -> Any:
        armed.sql(sql)
        return query(self, sql, *given, **named)

    SQLConnectionManager.add_query = add_query  # type: ignore[method-assign]


def slow_down(most_s: float) -> None:
    """From now on each flush to the disk takes up to `most_s` seconds longer in this process."""
    flush, dice = os.fsync, random.Random(1)

    def fsync(handle: int) -> None:
        time.sleep(dice.random() * most_s)
        flush(handle)

    os.fsync = fsync


def set_clock_ahead(seconds: float) -> None:
    """From now on this process reads the wall clock so many seconds ahead; below 0: behind.

    The product reads it by `utc_now_us`, `time.time` and `time.time_ns` alone.
    """
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + round(seconds * 1e9)

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(time.time(), tz)

    from ingest import lake

    lake.datetime = Shifted  # type: ignore[attr-defined]
