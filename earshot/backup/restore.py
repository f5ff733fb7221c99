"""`earshot restore`: a backup, checked to the last byte, as a new data folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from earshot.backup import registry_copy
from earshot.backup.links import Progress
from earshot.backup.manifest import (
    FILE,
    PACKED,
    POSTGRESQL,
    REGISTRY_FILE,
    TABLES,
    WAREHOUSE_FILE,
    BackupError,
    Entry,
    Manifest,
    most_bytes,
)
from ingest.durable import sync
from ingest.lake import FORMAT as LAKE_FORMAT
from ingest.lake import Lake, utc_now_us
from ingest.ledger_copy import renew
from ingest.logs.keyring import LISTS_EPOCH, KeyEpoch, bury, due_us, epoch_of_file, tombstone
from ingest.owner import account, give_all
from ingest.settings import Settings
from ingest.verify import verify
from registry.migrations import HEAD

_CHUNK = 1 << 20
_NAMED = 20
KEYS = "keys"


class _Source(Protocol):
    """A backup's files, by name."""

    @property
    def count(self) -> int:
        """How many there are, at least."""

    def size(self, name: str) -> int | None:
        """Bytes; None: there is no such file."""

    def open(self, name: str) -> IO[bytes] | None: ...


@dataclass(frozen=True)
class Restored:
    """What was restored."""

    data: Path
    manifest: Manifest
    tables: int  # of the registry, filled in PostgreSQL
    destroyed: list[int]  # key epochs whose secret was in the backup and was not restored: its time is over
    owner: int  # user id of whom it belongs to
    is_whole: bool = True  # else files were damaged, or rows lost, before the backup was made


def restore(
    settings: Settings,
    source: Path,
    to: Path,
    progress: Progress,
    owner: str | None = None,
    files_only: bool = False,
) -> Restored:
    """Make `to`, absent or empty, the data folder that `source` is a backup of.

    owner: account it is to belong to, which only root can say; None: by root whose `to` was, or else the
    folder above it. files_only: without registry and warehouse, to copy single files from.
    Nothing is written before every checksum was found right. Raises BackupError naming what
    is missing or damaged, SettingError, OSError: then `to` is as it was.
    """
    to = to.absolute()
    uid, gid = _owner(to, owner)
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise BackupError(f"{to} holds data: name an empty folder; nothing is overwritten")
    if to.is_mount():
        raise BackupError(f"{to} is a disk's own folder, which cannot be replaced: name a new folder in it")
    with _opened(source) as files:
        manifest = _manifest(files, source)
        if not files_only:
            _refuse_unfit(manifest, settings)
        left = (TABLES, REGISTRY_FILE, WAREHOUSE_FILE) if files_only else ()
        _check(files, manifest, progress)
        to.parent.mkdir(parents=True, exist_ok=True)
        _refuse_without_room(manifest, to)
        beside = to.with_name(f".{to.name}.restoring")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(mode=0o700)
            buried = _spent_keys(manifest, settings)
            for done, entry in enumerate(manifest.files, 1):
                if entry.path not in buried and PurePosixPath(entry.path).parts[0] not in left:
                    _write(files, entry, beside)
                progress("restored", done, len(manifest.files))
            for each in buried.values():
                if not tombstone(beside / KEYS, each.epoch).exists():
                    bury(beside / KEYS, each)
            is_whole = files_only or _is_held_to_checksums(beside / "lake", progress)
            if uid != os.geteuid():
                give_all(beside, uid, gid)
            for folder in {path.parent for path in beside.rglob("*")} | {beside}:
                sync(folder)
            tables, is_in_postgresql = 0, manifest.registry == POSTGRESQL and not files_only
            if is_in_postgresql:  # last: a kill between the two is put right by the same restore
                tables = registry_copy.load(settings, beside / TABLES, manifest.revision, manifest.identity)
                shutil.rmtree(beside / TABLES)
            beside.replace(to)  # over an empty folder, too
            sync(to.parent)
            if is_in_postgresql:
                registry_copy.settle(settings)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    return Restored(to, manifest, tables, sorted(each.epoch for each in buried.values()), uid, is_whole)


def _is_held_to_checksums(lake: Path, progress: Progress) -> bool:
    """Lists of checksums and the ledger's copy are in no backup: without them no damage would be noticed."""
    if not (lake / "FORMAT").exists():
        return True
    found = verify(lake, lambda done, of: progress("noted", done, of))
    if found.is_whole:
        renew(Lake(lake))
    return found.is_whole


def _owner(to: Path, name: str | None) -> tuple[int, int]:
    """(user id, group id) of whom the restored folder belongs to."""
    me = os.geteuid()
    if name is not None:
        found = account(name)
        if found is None:
            raise BackupError(
                f"there is no account {name} on this machine: name the user the services run as"
            )
        if me not in (0, found[0]):
            raise BackupError(f"only root can give the folder to {name}: run it with sudo, or as {name}")
        return found
    if me != 0:
        return me, os.getegid()
    there = next(each for each in (to, *to.parents) if each.exists()).stat()
    return there.st_uid, there.st_gid


def _refuse_without_room(manifest: Manifest, to: Path) -> None:
    needed, free = sum(each.bytes for each in manifest.files), shutil.disk_usage(to.parent).free
    if needed > free:
        raise BackupError(
            f"no room under {to.parent}: the backup has {needed:,} bytes, {free:,} are free. Make room or "
            "name a folder on another disk, and run it again: nothing was written"
        )


def _spent_keys(manifest: Manifest, settings: Settings) -> dict[str, KeyEpoch]:
    """Secrets of the listener hash that are not to come back: their time is over, or they were destroyed.

    By the clock, for what was destroyed after the backup stands in no backup.
    """
    found, now_us = {}, utc_now_us()
    names = {entry.path for entry in manifest.files}
    for entry in manifest.files:
        folder, _, name = entry.path.rpartition("/")
        epoch = epoch_of_file(name) if folder == KEYS else None
        if epoch is None or epoch == LISTS_EPOCH:
            continue
        made_us = entry.mtime_ns // 1000
        was_destroyed = tombstone(Path(KEYS), epoch).as_posix() in names
        if was_destroyed or now_us >= due_us(epoch, made_us, settings.late_days):
            found[entry.path] = KeyEpoch(epoch, made_us, now_us, "restore")
    return found


def _manifest(files: _Source, source: Path) -> Manifest:
    found = files.open(FILE)
    if found is None:
        raise BackupError(f"{source} holds no {FILE}: it is no backup, or not a whole one")
    with found:
        if (files.size(FILE) or 0) > most_bytes(files.count):
            raise BackupError(f"{FILE} is larger than that of any backup of ours: nothing is restored")
        return Manifest.parse(found.read())


def _refuse_unfit(manifest: Manifest, settings: Settings) -> None:
    if manifest.lake_format not in (None, LAKE_FORMAT):
        raise BackupError(
            f"its lake has layout {manifest.lake_format}, this Earshot reads {LAKE_FORMAT}: restore it "
            f"with Earshot {manifest.earshot}, then upgrade"
        )
    if manifest.revision is not None and manifest.revision > HEAD:
        raise BackupError(
            f"its registry is of a newer Earshot ({manifest.earshot}, revision {manifest.revision}): "
            "restore it with that one"
        )
    if manifest.registry == POSTGRESQL and not registry_copy.is_in_postgresql(settings):
        raise BackupError(
            "its registry was in PostgreSQL: set EARSHOT_REGISTRY to a new, empty database, "
            "postgresql://user:password@host/database"
        )
    if manifest.registry != POSTGRESQL and settings.registry:
        raise BackupError(
            "its registry is a file of the data folder, and EARSHOT_REGISTRY names another: unset it, for it "
            "would not be read"
        )


def _check(files: _Source, manifest: Manifest, progress: Progress) -> None:
    missing, damaged = [], []
    for done, entry in enumerate(manifest.files, 1):
        found = files.open(entry.path)
        if found is None:
            missing.append(entry.path)
        else:
            with found:  # what has another size need not be read
                is_whole = files.size(entry.path) == entry.bytes and _sum(found)[1] == entry.sha256
            if not is_whole:
                damaged.append(entry.path)
        progress("checked", done, len(manifest.files))
    if missing or damaged:
        told = [f"missing: {_some(missing)}"] if missing else []
        told += [f"damaged: {_some(damaged)}"] if damaged else []
        raise BackupError(
            f"{len(missing) + len(damaged):,} of {len(manifest.files):,} files are not as they were backed "
            "up, so nothing is restored: use another backup\n  " + "\n  ".join(told)
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _write(files: _Source, entry: Entry, below: Path) -> None:
    path = below / entry.path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if entry.is_secret else 0o777)
    found = files.open(entry.path)
    if found is None:
        raise BackupError(f"{entry.path} vanished from the backup while it was restored")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if entry.is_secret else 0o666)
    with found, os.fdopen(descriptor, "wb") as out:
        size, digest = _sum(found, out)
        out.flush()
        os.fsync(out.fileno())
    if (size, digest) != (entry.bytes, entry.sha256):
        raise BackupError(f"{entry.path} changed in the backup while it was restored")
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def _sum(source: IO[bytes], out: IO[bytes] | None = None) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
    return size, digest.hexdigest()


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.count = sum(len(names) for _, _, names in os.walk(root))

    def size(self, name: str) -> int | None:
        path = self._root / name
        return None if path.is_symlink() or not path.is_file() else path.stat().st_size

    def open(self, name: str) -> IO[bytes] | None:
        return None if self.size(name) is None else (self._root / name).open("rb")


class _Tar:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name: member for member in tar.getmembers() if member.isreg()}
        self.count = len(self._members)
        if any(member.issparse() for member in self._members.values()):
            raise BackupError("it has sparse files, which no backup of ours has: nothing is restored")

    def size(self, name: str) -> int | None:
        member = self._members.get(name)
        return None if member is None else member.size

    def open(self, name: str) -> IO[bytes] | None:
        member = self._members.get(name)
        return None if member is None else self._tar.extractfile(member)


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[_Source]:
    if source.is_dir():
        yield _Folder(source)
        return
    if not source.is_file():
        raise BackupError(f"there is no backup {source}")
    with source.open("rb") as content, _not_a_tar(source), contextlib.ExitStack() as opened:
        with _not_a_tar(source, _ODD):
            files = _Tar(opened.enter_context(tarfile.open(fileobj=content, mode="r:")))
        yield files


# What tarfile raises for headers that make no sense.
_ODD = (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError, EOFError, OSError)


@contextlib.contextmanager
def _not_a_tar(source: Path, errors: tuple[type[Exception], ...] = (tarfile.TarError,)) -> Iterator[None]:
    try:
        yield
    except errors as error:
        packed = "; is it packed? Unpack it first" if PACKED.fullmatch(source.name) else ""
        raise BackupError(f"{source} is no backup, or not a whole one: {error}{packed}") from error
