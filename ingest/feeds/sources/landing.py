"""The landing folder of notice files, `landing/hints/<source>/`: settled, read, put away, forgotten.

A file that was taken in lies in `<source>/.done/` under a name made of its own name and its bytes: delivered
again, it is known. So the order is: read, store the hints, `put_away`. A crash between leaves the file where
it is: it is read again and says the same, also the same instants. Who delivers writes a new file each time,
under a name of its own, and moves it in whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.durable import sync
from ingest.feeds.sources.notices import LINES, NoticeReject, Notices, Reject, read_notices
from ingest.places import UNFINISHED, visible

DONE = ".done"
SUFFIXES = (".json", LINES)
MAX_FILE_BYTES = 16 << 20  # half a minute of CPU at worst, whatever stands in it
_SOURCE = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_NAME_CHARS = 120  # of the file's own name, kept for people


@dataclass
class Landed:
    """A notice file as read. `file_id` is None when it could not be read at all: it stays where it is."""

    source: str
    path: Path
    file_id: str | None = None
    is_known: bool = False  # delivered before: it has no hints
    identity: tuple[int, ...] = ()  # of the file that was read
    notices: Notices = field(default_factory=Notices)


class NoticeFolder:
    """`root` is `Settings.hints_dir`. Several processes may work on it: each hint is stored once.

    `only`: the name of one source's folder, which the settings are of; None: all folders.
    """

    def __init__(
        self, root: Path, settle_s: float = 2, keep_days: float = 7, only: str | None = None
    ) -> None:
        self.root, self.settle_s, self.keep_days, self.only = root, settle_s, keep_days, only

    def seen(self, now_us: int) -> Iterator[tuple[Path, tuple[int, ...]]]:
        """What `waiting` would read or refuse, with what tells it from others; no file is opened."""
        for folder in self._folders():
            for path in _notice_files(folder) if _SOURCE.fullmatch(folder.name) else [folder]:
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                if not (stat.S_ISREG(status.st_mode) and self._is_young(status, now_us)):
                    yield path, _identity(status)

    def waiting(self, now_us: int) -> Iterator[Landed]:
        """Every file that is there and no longer written, read, oldest first by name within its source."""
        for folder in self._folders():
            if not _SOURCE.fullmatch(folder.name):
                landed = Landed("", folder)
                allowed = "allowed are a-z, 0-9, _ and -, at most 64"
                _refuse(landed, NoticeReject.BAD_SOURCE, f"folder {folder.name!a}: {allowed}")
                yield landed
                continue
            for path in _notice_files(folder):
                landed_file = self._read(folder.name, path, now_us)
                if landed_file is not None:
                    yield landed_file

    def expire(self, now_us: int) -> int:
        """Forget files put away more than `keep_days` ago; how many."""
        limit = now_us / 1e6 - self.keep_days * 86_400
        forgotten = 0
        for folder in self._folders():
            for path in sorted((folder / DONE).glob("*")):
                try:
                    if path.lstat().st_mtime < limit:
                        path.unlink()
                        forgotten += 1
                except FileNotFoundError:
                    continue
        return forgotten

    def _folders(self) -> list[Path]:
        return [path for path in source_folders(self.root) if self.only in (None, path.name)]

    def _is_young(self, status: os.stat_result, now_us: int) -> bool:
        # ctime: set when the file was moved here, even with an old modification time.
        return now_us / 1e6 - max(status.st_mtime, status.st_ctime) < self.settle_s

    def _read(self, source: str, path: Path, now_us: int) -> Landed | None:
        """None: it is still being written, or gone."""
        landed = Landed(source, path)
        try:
            # O_NONBLOCK: opening a pipe must not hang.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = NoticeReject.NOT_A_FILE if path.is_symlink() else NoticeReject.UNREADABLE
            return _refuse(landed, reason, error.strerror or "cannot be opened")
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            os.close(handle)
            return _refuse(landed, NoticeReject.NOT_A_FILE, "not a regular file")
        with os.fdopen(handle, "rb") as file:
            if self._is_young(before, now_us):
                return None
            try:
                body = file.read(MAX_FILE_BYTES + 1)
            except OSError as error:
                return _refuse(landed, NoticeReject.UNREADABLE, error.strerror or "cannot be read")
            after = os.fstat(handle)
        landed.identity = _identity(before)
        if _identity(after) != landed.identity:
            return None
        digest = hashlib.sha256(os.fsencode(path.name) + b"\0" + body)
        landed.file_id = digest.hexdigest()[:32]
        if _target(landed).exists():
            landed.is_known = True
        elif len(body) > MAX_FILE_BYTES:
            _refuse(
                landed, NoticeReject.TOO_LARGE, f"{before.st_size:,} bytes; allowed are {MAX_FILE_BYTES:,}"
            )
        else:
            modified_us = before.st_mtime_ns // 1000
            landed.notices = read_notices(body, source, shown_name(path), modified_us, now_us)
        return landed


def put_away(landed: Landed) -> None:
    """Move a file to where those lie whose hints are stored. One that could not be read stays, and one that
    took its place meanwhile. Raises OSError.
    """
    if landed.file_id is None:
        return
    target = _target(landed)
    target.parent.mkdir(exist_ok=True)
    try:
        if _identity(landed.path.lstat()) != landed.identity:
            return
        landed.path.replace(target)
    except FileNotFoundError:
        return  # another process was as quick
    os.utime(target)  # retention counts from now on
    sync(target.parent)
    sync(landed.path.parent)


def _target(landed: Landed) -> Path:
    own_name = os.fsdecode(os.fsencode(landed.path.name)[-_NAME_CHARS:])
    return landed.path.parent / DONE / f"{landed.file_id}-{own_name}"


def source_folders(root: Path) -> list[Path]:
    """The folders of sources below `Settings.hints_dir`, those too whose name cannot be a source's."""
    return [path for path in visible(root) if path.is_dir() and not path.is_symlink()]


def _notice_files(folder: Path) -> Iterator[Path]:
    for path in visible(folder):
        name = path.name.lower()
        if name.endswith(SUFFIXES) and not name.endswith(UNFINISHED):
            yield path


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _refuse(landed: Landed, reason: NoticeReject, detail: str) -> Landed:
    landed.notices = Notices(rejects=[Reject(shown_name(landed.path), 0, reason, detail)], rejected=1)
    return landed


def shown_name(path: Path) -> str:
    """The name of a file for people: it need not be UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")
