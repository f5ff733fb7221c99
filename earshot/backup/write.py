"""`earshot backup`: a folder or a tar file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from earshot.backup import registry_copy, snapshot
from earshot.backup.links import Progress
from earshot.backup.making import Making, clear_dead, in_the_making, place, remove, taken
from earshot.backup.manifest import FILE, PACKED, SECRET, TAR, BackupError, Entry, Manifest
from ingest.durable import locked, sync, write_atomically
from ingest.logs.keyring import KeyRing
from ingest.owner import acting_as_owner_of
from ingest.settings import PREFIX, Settings
from serving.platform_metrics import LAST_BACKUP

_LOCK, _STAGE = ".backup.lock", ".backup-in-the-making"
_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAR_BLOCK, _DISK_BLOCK, _TOLD = 512, 4096, 1024  # bytes: _TOLD for a file's header and line in the manifest

_Opened = Callable[[Path], IO[bytes]]


@dataclass(frozen=True)
class BackedUp:
    """What was written."""

    path: Path
    manifest: Manifest
    linked: bool  # the lake's files are links: the backup shares the disk with them
    keyless: list[int]  # key epochs of rows for which the data folder itself has no secret

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.manifest.files)


def backup(settings: Settings, target: Path, progress: Progress) -> BackedUp:
    """Back up the installation to `target`, a new folder, or a tar file where its name ends so.

    On the data folder's disk a folder holds hard links to the lake's files. Raises BackupError, SettingError,
    OSError: then `target` is not there, and a backup begun anew clears away what was left. Root does with
    the data folder what its owner may, and no more.
    """
    target = target.absolute()
    is_tar = target.suffix == TAR
    _refuse_unfit(settings, target)
    data = settings.data.resolve()
    stage = data / _STAGE
    with contextlib.ExitStack() as held:
        with acting_as_owner_of(data):
            held.enter_context(locked(data / _LOCK))
        if os.path.lexists(target):
            raise taken(target)  # by one that ran while we waited
        clear_dead(target.parent)
        try:
            with acting_as_owner_of(data):
                remove(stage)
                stage.mkdir(mode=0o700)
                manifest, keyless = _staged(settings, stage, progress)
            if not is_tar and target.parent.stat().st_dev == data.stat().st_dev:
                with acting_as_owner_of(data):
                    manifest = _summed(manifest, stage, progress)
                if _is_placed(stage, target):
                    _remember(data, manifest)
                    return BackedUp(target, manifest, True, keyless)
            paths = _all(stage)
            _refuse_without_room(paths, target)
            with _told_of_a_full_disk(paths, target), in_the_making(target, not is_tar) as making:
                write = _as_tar if is_tar else _as_folder
                manifest = write(manifest, stage, making, progress, _reader(data))
                with acting_as_owner_of(data):
                    remove(stage)  # first: nobody makes the backup once more that would clear it away
                making.place(target)
        finally:
            with acting_as_owner_of(data):
                remove(stage)
    _remember(data, manifest)
    return BackedUp(target, manifest, False, keyless)


def _remember(data: Path, manifest: Manifest) -> None:
    """For `earshot doctor` and metrics; a disk that has no room for it spoils no backup."""
    told = json.dumps({"made_at": manifest.made_at}).encode()
    with contextlib.suppress(OSError), acting_as_owner_of(data):
        write_atomically(data / LAST_BACKUP, told)


def _refuse_unfit(settings: Settings, target: Path) -> None:
    if os.path.lexists(target):
        raise taken(target)
    if target.suffix != TAR and PACKED.fullmatch(target.name):
        raise BackupError(
            f"{target.name} is neither a folder's name nor does it end in {TAR}: name a file *{TAR}, in "
            "small letters, and pack it afterwards if you like"
        )
    if not target.parent.is_dir():
        raise BackupError(
            f"there is no folder {target.parent}: is its disk mounted? Else make it (mkdir), and run it again"
        )
    if not settings.data.is_dir():
        raise BackupError(f"there is no data folder {settings.data}: set EARSHOT_DATA")
    if target.parent.resolve().is_relative_to(settings.data.resolve()):
        raise BackupError(
            f"{target} lies in the data folder itself: name a place outside, on another disk if you can"
        )


def _staged(settings: Settings, stage: Path, progress: Progress) -> tuple[Manifest, list[int]]:
    # The registry first: what it does not know yet is handed over from the lake again, not lost. The
    # warehouse before the lake: what it has not counted is counted anew.
    kind, revision = registry_copy.save(settings, stage)
    snapshot.take_small(settings, stage)
    has_lake = (settings.lake_dir / "FORMAT").exists()
    has_warehouse = has_lake and snapshot.take_warehouse(settings, stage)
    if has_lake:
        snapshot.take_lake(settings, stage, progress)
    else:
        snapshot.take_keys(settings, stage)
    keyless = snapshot.epochs_without_key(settings, stage)
    if forgotten := [epoch for epoch in keyless if KeyRing.of(settings).has(epoch)]:
        raise BackupError(
            f"the lake in it has rows of key epochs {forgotten} whose keys are not in it: run it again, and "
            "tell us"
        )
    manifest = Manifest(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        earshot=version("earshot"),
        lake_format=(stage / "lake" / "FORMAT").read_text().strip() if has_lake else None,
        registry=kind,
        revision=revision,
        has_warehouse=has_warehouse,
        left_out=tuple(name for name in snapshot.left_out(settings) if not (stage / name).exists()),
        settings=tuple(sorted(name for name in os.environ if name.startswith(PREFIX))),
    )
    return manifest, keyless


def _is_placed(stage: Path, target: Path) -> bool:
    try:
        place(stage, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # one disk, mounted twice
            raise
        return False
    return True


def _summed(manifest: Manifest, stage: Path, progress: Progress) -> Manifest:
    """Checksums of the files where they are, in a manifest beside them."""
    entries, paths = [], _all(stage)
    for done, path in enumerate(paths, 1):
        with path.open("rb") as source:
            entries.append(_entry(stage, path, _digest(source)))
        progress("checksums", done, len(paths))
    whole = _with(manifest, entries)
    (stage / FILE).touch(mode=0o600)
    (stage / FILE).write_bytes(whole.to_json())
    _flush(stage)
    return whole


def _as_folder(
    manifest: Manifest, stage: Path, making: Making, progress: Progress, opened: _Opened
) -> Manifest:
    entries, paths = [], _all(stage)
    for done, path in enumerate(paths, 1):
        copy = making.path / path.relative_to(stage)
        for folder in reversed([each for each in copy.parents if making.path in each.parents]):
            folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with opened(path) as source, os.fdopen(os.open(copy, flags, 0o600), "wb") as out:
            entries.append(_entry(stage, path, _digest(source, out)))
            out.flush()
            os.fsync(out.fileno())
            os.utime(out.fileno(), ns=(entries[-1].mtime_ns, entries[-1].mtime_ns))
        progress("files copied", done, len(paths))
    whole = _with(manifest, entries)
    making.file.write(whole.to_json())
    making.file.flush()
    os.fsync(making.file.fileno())
    _flush(making.path)
    return whole


def _as_tar(manifest: Manifest, stage: Path, making: Making, progress: Progress, opened: _Opened) -> Manifest:
    entries, paths = [], _all(stage)
    with tarfile.open(fileobj=making.file, mode="w") as tar:
        for done, path in enumerate(paths, 1):
            with opened(path) as source:
                hashing, stat = _Hashing(source), os.fstat(source.fileno())
                name = path.relative_to(stage).as_posix()
                tar.addfile(_member(name, stat.st_size, stat.st_mtime), hashing)
            entries.append(_entry(stage, path, hashing.digest.hexdigest()))
            progress("files written", done, len(paths))
        whole = _with(manifest, entries)
        content = whole.to_json()
        with io.BytesIO(content) as source:
            tar.addfile(_member(FILE, len(content), datetime.now(UTC).timestamp()), source)
    making.file.flush()
    os.fsync(making.file.fileno())
    return whole


def _reader(data: Path) -> _Opened:
    """Opens a file as the owner of the data folder, who could have put a link to another's in its place."""

    def opened(path: Path) -> IO[bytes]:
        with acting_as_owner_of(data):
            return path.open("rb")

    return opened


def _refuse_without_room(paths: list[Path], target: Path) -> None:
    needed, free = _needed(paths, target), shutil.disk_usage(target.parent).free
    if needed > free:
        raise _no_room(target, needed, free)


@contextlib.contextmanager
def _told_of_a_full_disk(paths: list[Path], target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _no_room(target, _needed(paths, target), shutil.disk_usage(target.parent).free) from error


def _no_room(target: Path, needed: int, free: int) -> BackupError:
    return BackupError(
        f"no room under {target.parent} for {target.name}: it needs {needed:,} bytes, {free:,} are free. "
        "Make room or name another disk, and run it again: nothing is lost"
    )


def _needed(paths: list[Path], target: Path) -> int:
    """Bytes, about."""
    block = _TAR_BLOCK if target.suffix == TAR else _DISK_BLOCK
    return sum(-(-path.stat().st_size // block) * block + _TOLD for path in paths)


def _flush(folder: Path) -> None:
    """What is linked from the lake is on its disk already."""
    for each in {path.parent for path in _all(folder)}:
        sync(each)
    for name in (*SECRET, FILE):
        for path in _all(folder / name) if (folder / name).is_dir() else [folder / name]:
            if path.exists():
                sync(path)


class _Hashing:
    """Reads a file for tar and sums what it reads."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self.digest.update(chunk)
        return chunk


def _member(name: str, size: int, mtime: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(mtime), 0o600
    return member


def _digest(source: IO[bytes], out: IO[bytes] | None = None) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
    return digest.hexdigest()


def _entry(stage: Path, path: Path, digest: str) -> Entry:
    stat = path.stat()
    return Entry(path.relative_to(stage).as_posix(), stat.st_size, digest, stat.st_mtime_ns)


def _with(manifest: Manifest, entries: list[Entry]) -> Manifest:
    return replace(manifest, files=tuple(entries))


def _all(folder: Path) -> list[Path]:
    """All files, but for the manifest."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / FILE)
