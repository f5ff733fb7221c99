"""One platform a data folder: who starts a second one is told who runs the first. Imports no Dagster."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from datetime import UTC, datetime
from pathlib import Path

FILE = ".platform.lock"


class AnotherRuns(RuntimeError):
    """A platform runs on this data folder; the message says which and what to do."""


_ADVICE = {
    errno.EROFS: "mount it for writing and start it again: nothing is lost",
    errno.EACCES: "give it to the user the platform runs as, or run it as that user: nothing is lost",
    errno.ENOSPC: "free some space and start it again: nothing is lost",
}
_FLOCK = struct.Struct("hhqqi0q")  # Linux on 64 bits: type, whence, start, length, pid
_claimed: list[int] = []  # open until this process ends; that is the point


def claim(data: Path) -> None:
    """Be the platform of `data` until this process ends, however it ends. Raises AnotherRuns and OSError.

    A lock of the system (POSIX), which dies with us and which our forks do not hold: no file that a killed
    platform leaves keeps the next one out. Two machines see each other where their file system shares locks.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        handle = os.open(data / FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        what = _ADVICE.get(error.errno or 0, "mend what it names and start it again: nothing is lost")
        raise OSError(error.errno, f"{error.strerror}: {what}", error.filename) from error
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the system may say either
        told = os.pread(handle, 200, 0).decode(errors="replace").strip()
        os.close(handle)
        raise AnotherRuns(
            f"a platform runs on {data.resolve()} already ({told or 'it is just starting'}), so this one "
            "does not start: end that one first (Ctrl-C, or its service), or give EARSHOT_DATA another folder"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"pid {os.getpid()} on {socket.gethostname()}, since {_now()}\n".encode(), 0)
    _claimed.append(handle)


def running(data: Path) -> str | None:
    """Which platform runs on `data`, in its own words; None: none, as far as the system's locks tell.

    Asks who holds the lock and takes none, so that it keeps no platform from starting. Raises OSError.
    """
    try:
        handle = os.open(data / FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        held = _FLOCK.unpack(fcntl.fcntl(handle, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK
        told = os.pread(handle, 200, 0).decode(errors="replace").strip()
    finally:
        os.close(handle)
    return (told or "it is just starting") if held else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
