"""Which files lie in landing/, oldest first; hidden, half-copied and still-growing ones are left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.settings import SettingError, Settings
from ingest.sources import CATALOG, safe_name

UNFINISHED = (".tmp", ".part", ".partial", ".swp", ".crdownload", ".filepart")


@dataclass(frozen=True)
class LandingFile:
    """A file to take in. `name` is its path below the source's folder."""

    source: str
    path: Path
    name: str
    size_bytes: int = -1
    modified_ns: int = -1
    changed_ns: int = -1

    @classmethod
    def at(cls, source: str, path: Path, name: str | None = None) -> LandingFile:
        """One given file; `name` defaults to the path as given. Raises OSError and SettingError."""
        status = path.stat()
        # A name need not be UTF-8, the ledger's must.
        shown = (name or path.as_posix()).encode("utf-8", "backslashreplace").decode()
        return cls(
            safe_name(source),
            path,
            shown,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """A file of the same name, size and modification time is not read again."""
        return self.source, self.name, self.size_bytes, self.modified_ns


def find_landing_files(settings: Settings) -> list[LandingFile]:
    """All files ready to be taken in, oldest arrival first."""
    now_ns = time.time_ns()
    found = []
    for folder in _visible(settings.landing_dir):
        if not folder.is_dir() or folder.name == CATALOG:
            continue
        try:
            source = safe_name(folder.name)
        except SettingError:
            continue  # see misnamed_folders: one such folder must not stop the others
        for path in _files_below(folder):
            try:
                file = LandingFile.at(source, path, path.relative_to(folder).as_posix())
            except (FileNotFoundError, PermissionError):
                continue  # removed since it was listed, or in a folder that cannot be read
            # ctime: set when the file was moved here, even with an old modification time.
            if now_ns - max(file.modified_ns, file.changed_ns) >= settings.settle_s * 1e9:
                found.append(file)
    return sorted(found, key=lambda file: (file.changed_ns, file.source, file.name))


def misnamed_folders(settings: Settings) -> list[str]:
    """What is wrong with landing folders whose files are passed over, one message each."""
    wrong = []
    for folder in _visible(settings.landing_dir):
        if folder.is_dir() and folder.name != CATALOG:
            try:
                safe_name(folder.name)
            except SettingError as error:
                wrong.append(str(error))
            wrong += [f"folder {below} cannot be read" for below in _unreadable(folder)]
    return wrong


def _unreadable(folder: Path) -> Iterator[Path]:
    if not os.access(folder, os.R_OK | os.X_OK):
        yield folder
    for path in _visible(folder):
        if path.is_dir() and not path.is_symlink():
            yield from _unreadable(path)


def _visible(folder: Path) -> list[Path]:
    """What lies in `folder`; nothing where it cannot be read, so that it does not stop the others."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _files_below(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            if not path.is_symlink():  # a link to a folder above would never end
                yield from _files_below(path)
        elif path.is_file() and not path.name.lower().endswith(UNFINISHED):
            yield path
