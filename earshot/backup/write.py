"""`earshot backup`: a folder or a tar file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from earshot.backup import registry_copy, snapshot
from earshot.backup.manifest import FILE, SECRET, BackupError, Entry, Manifest
from earshot.backup.snapshot import Progress
from ingest.durable import locked, sync, write_atomically
from ingest.settings import PREFIX, Settings
from serving.platform_metrics import LAST_BACKUP

TAR = ".tar"
_LOCK, _STAGE = ".backup.lock", ".backup-in-the-making"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class BackedUp:
    """What was written."""

    path: Path
    manifest: Manifest
    linked: bool  # the lake's files are links: the backup shares the disk with them

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.manifest.files)


def backup(settings: Settings, target: Path, progress: Progress) -> BackedUp:
    """Back up the installation to `target`, a new folder, or a tar file where its name ends so.

    On the data folder's disk a folder holds hard links to the lake's files. Raises BackupError, SettingError,
    OSError: then `target` is not there, and a backup begun anew clears away what was left.
    """
    target = target.absolute()
    is_tar = target.suffix == TAR
    if target.exists() or target.is_symlink():
        raise BackupError(f"{target} is there already: name a new one, nothing is overwritten")
    if not settings.data.is_dir():
        raise BackupError(f"there is no data folder {settings.data}: set EARSHOT_DATA")
    data = settings.data.resolve()
    if target.parent.resolve().is_relative_to(data):
        raise BackupError(
            f"{target} lies in the data folder itself: name a place outside, on another disk if you can"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(data / _LOCK):
        beside = target.with_name(f".{target.name}.in-the-making")
        same_disk = target.parent.stat().st_dev == data.stat().st_dev
        stage = beside if same_disk and not is_tar else data / _STAGE
        try:
            for left in (beside, data / _STAGE):
                _remove(left)
            stage.mkdir(mode=0o700)
            manifest = _staged(settings, stage, progress)
            if is_tar:
                manifest = _as_tar(manifest, stage, beside, progress)
            else:
                manifest = _as_folder(manifest, stage, beside, progress)
            beside.rename(target)
            sync(target.parent)
        finally:
            for left in (beside, data / _STAGE):
                _remove(left)
    _remember(data, manifest)
    return BackedUp(target, manifest, same_disk and not is_tar)


def _remember(data: Path, manifest: Manifest) -> None:
    """For `earshot doctor` and metrics; a disk that has no room for it spoils no backup."""
    with contextlib.suppress(OSError):
        write_atomically(data / LAST_BACKUP, json.dumps({"made_at": manifest.made_at}).encode())


def _staged(settings: Settings, stage: Path, progress: Progress) -> Manifest:
    # The registry first: what it does not know yet is handed over from the lake again, not lost. The
    # warehouse before the lake: what it has not counted is counted anew.
    kind, revision = registry_copy.save(settings, stage)
    snapshot.take_small(settings, stage)
    has_lake = (settings.lake_dir / "FORMAT").exists()
    has_warehouse = has_lake and snapshot.take_warehouse(settings, stage)
    if has_lake:
        snapshot.take_lake(settings, stage, progress)
    return Manifest(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        earshot=version("earshot"),
        lake_format=(stage / "lake" / "FORMAT").read_text().strip() if has_lake else None,
        registry=kind,
        revision=revision,
        has_warehouse=has_warehouse,
        left_out=tuple(name for name in snapshot.left_out(settings) if not (stage / name).exists()),
        settings=tuple(sorted(name for name in os.environ if name.startswith(PREFIX))),
    )


def _as_folder(manifest: Manifest, stage: Path, beside: Path, progress: Progress) -> Manifest:
    """Checksums of the files where they are; copied to `beside` where that is another disk."""
    beside.mkdir(mode=0o700, exist_ok=True)
    entries, paths = [], _all(stage)
    for done, path in enumerate(paths, 1):
        name = path.relative_to(stage).as_posix()
        if stage == beside:
            with path.open("rb") as source:
                digest = _digest(source)
        else:
            copy = beside / name
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy.touch(mode=0o600)
            with path.open("rb") as source, copy.open("wb") as out:
                digest = _digest(source, out)
                out.flush()
                os.fsync(out.fileno())
            shutil.copystat(path, copy)
            copy.chmod(0o600)
        entries.append(_entry(path, name, digest))
        progress("checksums", done, len(paths))
    whole = _with(manifest, entries)
    (beside / FILE).touch(mode=0o600)
    (beside / FILE).write_bytes(whole.to_json())
    for folder in {path.parent for path in _all(beside)}:
        sync(folder)
    for name in (*SECRET, FILE):
        for path in _all(beside / name) if (beside / name).is_dir() else [beside / name]:
            if path.exists():
                sync(path)
    return whole


def _as_tar(manifest: Manifest, stage: Path, beside: Path, progress: Progress) -> Manifest:
    entries, paths = [], _all(stage)
    beside.touch(mode=0o600)
    with beside.open("wb") as out:
        with tarfile.open(fileobj=out, mode="w") as tar:
            for done, path in enumerate(paths, 1):
                name = path.relative_to(stage).as_posix()
                with path.open("rb") as source:
                    hashing = _Hashing(source)
                    tar.addfile(_member(name, path.stat().st_size, path.stat().st_mtime), hashing)
                entries.append(_entry(path, name, hashing.digest.hexdigest()))
                progress("files written", done, len(paths))
            whole = _with(manifest, entries)
            content = stage / FILE
            content.write_bytes(whole.to_json())
            with content.open("rb") as source:
                tar.addfile(_member(FILE, content.stat().st_size, content.stat().st_mtime), source)
        out.flush()
        os.fsync(out.fileno())
    return whole


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


def _entry(path: Path, name: str, digest: str) -> Entry:
    stat = path.stat()
    return Entry(name, stat.st_size, digest, stat.st_mtime_ns)


def _with(manifest: Manifest, entries: list[Entry]) -> Manifest:
    return Manifest(**{**vars(manifest), "files": tuple(entries)})


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
