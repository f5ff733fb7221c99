"""Hands the log over to intake, each minute, without losing a line or showing one file twice.

    log/open.json ─ rename ─▶ log/<time>.json ─ once nobody writes ─ rename ─▶ landing/<source>/<time>.json

Each step is one rename, so a rotation that was killed leaves a whole file in one of the three places, which
the next one takes on from there. nginx keeps writing to the renamed file until it has reopened: what is
written then is in it, too. The name is given once, at the first rename, and sorts by time.
"""

from __future__ import annotations

import errno
import re
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.durable import locked, sync
from serving.edge.errors import mask_errors
from serving.edge.holders import holders, is_written
from serving.edge.place import prepare
from serving.edge.server import EdgeError, master, tell
from serving.edge.settings import EDGE_PREFIX, EdgeSettings

_LOOK_S, _TELL_AGAIN_S = 0.01, 1.0
_CLOSED = "[0-9]*.json"


@dataclass(frozen=True)
class Rotation:
    """published: files now in landing, oldest first. held: closed ones that nginx still writes to.

    was_gone: somebody had removed the log under nginx, which went on writing to what nobody can open.
    """

    published: tuple[Path, ...]
    held: tuple[Path, ...]
    was_gone: bool = False


def rotate(settings: EdgeSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Rotation:
    """One rotation; what an earlier one left is published first. Raises EdgeError, OSError: nothing is lost.

    A log without lines is left where it is.
    """
    prepare(settings)
    if settings.log.parent.stat().st_dev != settings.landing.stat().st_dev:
        raise EdgeError(
            f"{settings.log.parent} and {settings.landing} are on two file systems; files are published "
            f"within one: set {EDGE_PREFIX}DIR to a folder beside the landing folder"
        )
    with locked(settings.log.parent / ".rotate.lock"):
        mask_errors(settings.log.parent)
        running = master(settings)
        # Where a rotation was killed, nginx still writes to the log that is closed: nothing is lost there.
        was_gone = running is not None and not closed_logs(settings) and not is_written(settings.log)
        if running is not None and was_gone:
            tell([running], signal.SIGUSR1)
        _close(settings, clock())
        closed = closed_logs(settings)
        held = _released(settings, closed) if closed else ()
        published = tuple(_publish(settings, path) for path in closed if path not in held)
    return Rotation(published, held, was_gone)


def closed_logs(settings: EdgeSettings) -> list[Path]:
    """Renamed, not yet published; oldest first."""
    return sorted(settings.log.parent.glob(_CLOSED))


def _close(settings: EdgeSettings, now: datetime) -> None:
    try:
        if not settings.log.stat().st_size:
            return
    except FileNotFoundError:
        return
    machine = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-") or "edge"
    name = f"{now:%Y%m%dT%H%M%S}.{now.microsecond:06}Z-{machine[:40]}.json"
    closed = settings.log.with_name(name)
    if closed.exists() or (settings.landing / name).exists():  # the clock stands or was set back
        raise EdgeError(f"{name} is there already: has the clock been set back? The next rotation goes on")
    settings.log.rename(closed)
    sync(settings.log.parent)


def _released(settings: EdgeSettings, closed: list[Path]) -> tuple[Path, ...]:
    """Has nginx reopen its log, and waits until nobody holds the closed ones; those still held after that."""
    give_up = time.monotonic() + settings.patience_s
    held, told_at = tuple(closed), 0.0
    while True:
        looked = {path: holders(path) for path in held}
        held = tuple(path for path, found in looked.items() if found.is_held)
        if not held or time.monotonic() > give_up:
            return held
        # Told again: a signal that comes while nginx starts or reloads may be lost; and a worker whose master
        # was killed hears nobody else.
        if time.monotonic() - told_at > _TELL_AGAIN_S:
            running = master(settings)
            pids = {pid for path in held for pid in looked[path].pids}
            tell(
                [running] if running and not told_at else sorted(pids | ({running} if running else set())),
                signal.SIGUSR1,
            )
            told_at = time.monotonic()
        time.sleep(_LOOK_S)


def _publish(settings: EdgeSettings, closed: Path) -> Path:
    """Flushed to disk, then moved: intake sees the whole file or none."""
    published = settings.landing / closed.name
    if published.exists():
        raise FileExistsError(errno.EEXIST, f"not published, it is there already: {closed}", str(published))
    closed.chmod(0o640)  # it names listeners' addresses
    sync(closed)
    closed.rename(published)
    sync(settings.landing)
    sync(closed.parent)
    return published
