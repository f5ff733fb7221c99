"""What root makes among the files of another account is given to that account, which must go on with them.

Whoever owns a folder can put links into it: nothing is given through a link, nor a file with a second name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

_ROOT = 0


def give(path: Path, to: os.stat_result) -> None:
    """Make a file or folder that this process, root, made the owner's of `to`. Raises OSError for a link."""
    if os.geteuid() == _ROOT and path.stat().st_uid != to.st_uid:
        # O_NONBLOCK: a pipe put there in its place stops nobody.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            give_open(handle, to)
        finally:
            os.close(handle)


def give_open(handle: int, to: os.stat_result) -> None:
    """… of an open file or folder. Only root can; for others, and for what is theirs already, nothing."""
    found = os.fstat(handle)
    if os.geteuid() != _ROOT or found.st_uid == to.st_uid:
        return
    if not stat.S_ISDIR(found.st_mode) and (not stat.S_ISREG(found.st_mode) or found.st_nlink > 1):
        raise OSError(errno.EPERM, "it has a second name, or is no plain file: root gives it to nobody")
    os.fchown(handle, to.st_uid, to.st_gid)


def give_all(folder: Path, uid: int, gid: int) -> None:
    """All below a folder that nobody else can get into yet, and at last itself."""
    for _, folders, files, handle in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
    os.chown(folder, uid, gid, follow_symlinks=False)


@contextlib.contextmanager
def acting_as_owner_of(folder: Path) -> Iterator[None]:
    """Root has the rights of the folder's owner meanwhile, and makes files as that account; others as ever.

    Of the whole process: start no thread that needs more.
    """
    owner = folder.stat()
    if os.geteuid() != _ROOT or owner.st_uid == _ROOT:
        yield
        return
    groups, gid, home = os.getgroups(), os.getegid(), os.environ.get("HOME")
    os.setgroups(_groups(owner))
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    os.environ["HOME"] = _home(owner.st_uid)  # libraries look there, and would fail at root's
    try:
        yield
    finally:
        os.seteuid(_ROOT)
        os.setegid(gid)
        os.setgroups(groups)
        if home is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = home


def name_of(uid: int) -> str:
    """The account's name; its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def account(name: str) -> tuple[int, int] | None:
    """(user id, group id) of an account by its name or number; None: there is none."""
    with contextlib.suppress(KeyError):
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        return found.pw_uid, found.pw_gid
    return (int(name), int(name)) if name.isdecimal() else None


def _groups(owner: os.stat_result) -> list[int]:
    with contextlib.suppress(KeyError):
        return os.getgrouplist(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    return [owner.st_gid]


def _home(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_dir
    return "/"
