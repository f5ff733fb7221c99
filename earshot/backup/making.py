"""A backup in the making: beside its target, to our account alone, and gone once its process is dead.

    /backup/.earshot-backup-<16 hex digits>.in-the-making    a tar file, or a folder

It holds listener keys, and others may write where it lies: its name cannot be guessed, it is made where
nothing was, and nothing is written through a name that was there. Whoever makes it holds a lock on its file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from earshot.backup.manifest import FILE, BackupError
from ingest.durable import rename_new, sync

_NAME = re.compile(r"\.earshot-backup-[0-9a-f]{16}\.in-the-making")
_TRIES = 10
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Making:
    """What is in the making."""

    path: Path
    file: IO[bytes]  # the tar file; of a folder its manifest
    is_folder: bool

    def place(self, target: Path) -> None:
        """Give it its name, flushed to disk. Raises BackupError where somebody has it."""
        place(self.path, target)
        there = (target / FILE if self.is_folder else target).lstat()
        if not os.path.samestat(there, os.fstat(self.file.fileno())):
            raise BackupError(
                f"somebody put something else in the place of {target} while it was written: name a folder "
                "where nobody else may write"
            )


@contextlib.contextmanager
def in_the_making(beside: Path, is_folder: bool) -> Iterator[Making]:
    """A new one in the folder of `beside`; removed at the end unless it was placed."""
    for _ in range(_TRIES):
        path = beside.with_name(f".earshot-backup-{secrets.token_hex(8)}.in-the-making")
        if is_folder:
            path.mkdir(mode=0o700)
        file = path / FILE if is_folder else path
        try:
            handle = os.open(file, os.O_RDWR | _NEW, 0o600)
        except FileNotFoundError:
            continue  # somebody who clears up took it for a dead one's
        with os.fdopen(handle, "w+b") as out:
            try:
                if _is_held(handle, file):
                    yield Making(path, out, is_folder)
                    return
            finally:
                remove(path)
    raise BackupError(f"nothing stays that is made in {beside.parent}: name another folder")


def _is_held(handle: int, file: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # by somebody who clears up
    except OSError:  # no locks here: then nobody clears up either
        pass
    with contextlib.suppress(OSError):
        return os.path.samestat(file.lstat(), os.fstat(handle))
    return False


def place(made: Path, target: Path) -> None:
    """Raises BackupError where the name is taken; OSError (EXDEV) where it is on another disk."""
    try:
        rename_new(made, target)
    except FileExistsError:
        raise taken(target) from None
    sync(target.parent)


def taken(target: Path) -> BackupError:
    return BackupError(f"{target} is there already: name a new one, nothing is overwritten")


def clear_dead(folder: Path) -> None:
    """Remove what killed backups of ours left in `folder`, with the keys in it."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            is_ours = entry.stat(follow_symlinks=False).st_uid == os.geteuid()
            if _NAME.fullmatch(entry.name) and is_ours and not entry.is_symlink():
                _clear(Path(entry.path), entry.is_dir())


def _clear(path: Path, is_folder: bool) -> None:
    try:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(path / FILE if is_folder else path, flags)
    except OSError:
        with contextlib.suppress(OSError):
            path.rmdir()  # killed when nothing was in it yet
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    except OSError:
        pass  # its process lives
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """A file, or a folder; its manifest last: whoever is killed meanwhile leaves what is cleared later."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for each in path.iterdir():
        if each.name != FILE:
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    (path / FILE).unlink(missing_ok=True)
    path.rmdir()
