"""Who has a file open for writing: nginx writes to the old log until every worker has reopened.

Two witnesses. /proc names the holders, so that they can be told; it hides those of other users and of other
containers. A read lease, which the kernel refuses while anybody has the file open for writing, sees them all,
but not on every file system. A file is free when neither objects.
"""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

# A lease is for its owner or root, and for local file systems; where there is none, /proc is believed alone.
_NO_LEASES = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Holders:
    """pids: who has it open. is_held: whether anybody has, perhaps unseen."""

    pids: tuple[int, ...]
    is_held: bool


def holders(path: Path) -> Holders:
    """Who has `path` open. Raises OSError: it is not there; PermissionError: it cannot be known."""
    lease = _lease(path)
    pids, is_hidden = _in_proc(path)
    if lease is None and is_hidden:
        raise PermissionError(
            errno.EACCES,
            "not to be seen whether nginx still writes to it: run this as root or its user",
            str(path),
        )
    return Holders(pids, bool(pids) or lease is False)


def _lease(path: Path) -> bool | None:
    """Could it be leased: does nobody have it open for writing? None: leases cannot be had here."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return False
        if error.errno in _NO_LEASES:
            return None
        raise
    finally:
        os.close(handle)


def _in_proc(path: Path) -> tuple[tuple[int, ...], bool]:
    """(nginx's processes that have it open, whether one of nginx's could not be looked into)."""
    wanted, found, is_hidden = path.stat(), [], False
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if (process / "comm").read_text() != "nginx\n":
                continue
            for descriptor in (process / "fd").iterdir():
                try:
                    held = descriptor.stat()
                except FileNotFoundError:
                    continue  # closed meanwhile
                if (held.st_dev, held.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(int(process.name))
                    break
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        except PermissionError:
            is_hidden = True
    return tuple(found), is_hidden


def is_written(log: Path) -> bool:
    """Whether nginx has the log open; not so where somebody removed it: nginx goes on with what is gone.

    That a file is there says nothing: `nginx -t` makes one.
    """
    try:
        return holders(log).is_held
    except FileNotFoundError:
        return False
    except PermissionError:  # not to be seen by us
        return True
