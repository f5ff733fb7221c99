"""Files that are there whole or not at all, also after a crash; and locks that die with their process."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ingest.owner import give, give_open

# What `replacing` (and the key ring, with digits of its own) writes to until it is whole.
_UNFINISHED = re.compile(r"\..+\.[0-9]+(?:\.[0-9a-f]{8})?\.tmp")
# What is being written changes far more often; its process may be in another container, so none is asked.
ABANDONED_S = 3600.0


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write to, which then takes its place, flushed to disk.

    An error, also OSError for a full disk, leaves `path` as it was and no trace.
    """
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        give(temporary, path.parent.stat())
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path) -> None:
    made = [each for each in (folder, *folder.parents) if os.geteuid() == 0 and not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(made):
        give(each, each.parent.stat())


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`. Raises OSError, leaving no trace."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def unfinished_below(folder: Path, now_s: float | None = None) -> list[Path]:
    """Temporary files of writers that were killed: unchanged for ABANDONED_S seconds. `now_s`: epoch."""
    limit_s = (time.time() if now_s is None else now_s) - ABANDONED_S
    found = []
    for where, _, names in os.walk(folder):
        for name in filter(_UNFINISHED.fullmatch, names):
            path = Path(where, name)
            with contextlib.suppress(FileNotFoundError):  # finished meanwhile
                if path.stat().st_mtime < limit_s:
                    found.append(path)
    return found


def clear_unfinished(folder: Path, now_s: float | None = None) -> int:
    """Remove them; how many there were."""
    found = unfinished_below(folder, now_s)
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2
_NOT_KNOWN = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # to this system, or this file system


def exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step: at every moment each path leads to one of them, also after a crash.

    Raises OSError where the system or the file system cannot (Linux with ext4, xfs, btrfs, tmpfs … can).
    """
    if code := _renamed(one, other, _RENAME_EXCHANGE):
        raise OSError(code, f"two folders cannot be swapped here ({os.strerror(code)})", str(other))


def rename_new(one: Path, other: Path) -> None:
    """Give a file or a folder a name that nobody has. Raises FileExistsError, OSError."""
    code = _renamed(one, other, _RENAME_NOREPLACE)
    if code in _NOT_KNOWN:
        _rename_new_elsewhere(one, other)
    elif code:
        raise OSError(code, os.strerror(code), str(other))


def _rename_new_elsewhere(one: Path, other: Path) -> None:
    """On NFS and the like, as far as it goes: a file never replaces one, a folder at most an empty one."""
    if not one.is_dir():
        try:
            os.link(one, other)
            one.unlink()
            return
        except FileExistsError:
            raise
        except OSError:  # it knows no links either
            pass
    if os.path.lexists(other):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(other))
    one.rename(other)


def _renamed(one: Path, other: Path, how: int) -> int:
    """0, or why not (errno)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return errno.ENOSYS
    done = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), how)
    return ctypes.get_errno() if done else 0


@contextlib.contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """One process at a time, or any number of `shared` ones; waits for its turn."""
    with lock_file(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[IO[bytes]]:
    """The open file of a lock, left as it is. What root makes is its folder's owner's."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o666), "ab") as lock:
        give_open(lock.fileno(), path.parent.stat())
        yield lock
