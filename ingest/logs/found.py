"""Which files the sources have, oldest first; hidden, half-copied and still-growing ones are left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.places import files_below, visible
from ingest.settings import SettingError, Settings
from ingest.sources import FILE, NO_SOURCES, Sources, safe_name

_AHEAD_NS = 600 * 10**9  # no clock of a file server is ahead of ours by more unless one of them stands wrong


@dataclass(frozen=True)
class LandingFile:
    """A file to take in. `name` is its path below the source's folder, or below its pattern's fixed part."""

    source: str
    path: Path
    name: str
    size_bytes: int = -1
    modified_ns: int = -1
    changed_ns: int = -1
    inode: tuple[int, int] = (-1, -1)  # device and number: the same wherever a link stands

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
            (status.st_dev, status.st_ino),
        )

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """A file of the same name, size and modification time is not read again."""
        return self.source, self.name, self.size_bytes, self.modified_ns


def find_landing_files(settings: Settings) -> list[LandingFile]:
    """All files ready to be taken in, oldest arrival first.

    Raises SettingError: sources.toml, or one file that two sources reach.
    """
    now_ns = time.time_ns()
    found = []
    reached: dict[tuple[int, ...], LandingFile] = {}
    for source, path, name in _files(settings, Sources.load(settings)):
        try:
            file = LandingFile.at(source, path, name)
        except (FileNotFoundError, PermissionError):
            continue  # removed since it was listed, or in a folder that cannot be read
        # With size and time, since not every network file system numbers its files uniquely.
        other = reached.setdefault((*file.inode, file.size_bytes, file.modified_ns), file)
        if other.source != source:
            raise SettingError(
                f"{file.path} of source '{source}' and {other.path} of source '{other.source}' are one file, "
                "which would count twice; allowed is a file of one source: remove the link or mend the path"
            )
        if _is_settled(file, now_ns, round(settings.settle_s * 1e9)):
            found.append(file)
    return sorted(found, key=lambda file: (file.changed_ns, file.source, file.name))


def _is_settled(file: LandingFile, now_ns: int, settle_ns: int) -> bool:
    """Whether nobody writes to it any more: it has not changed for so long.

    ctime is set when the file was moved here, even with an old modification time. A time far ahead of ours
    was told by a clock that was set back since, or by a sender's: who wrote now would have set it anew.
    """
    times = (file.modified_ns, file.changed_ns)
    return all(now_ns - time_ns >= settle_ns or time_ns - now_ns > _AHEAD_NS for time_ns in times)


def _files(settings: Settings, sources: Sources) -> Iterator[tuple[str, Path, str]]:
    """(source, path, name) of every file: in landing folders, then where sources.toml says."""
    for folder in landing_folders(settings):
        try:
            source = safe_name(folder.name)
        except SettingError:
            continue  # see passed_over: one such folder must not stop the others
        if source not in sources.places:
            for path in files_below(folder):
                yield source, path, path.relative_to(folder).as_posix()
    for source, place in sources.places.items():
        for path, name in place.files():
            yield source, path, name


def landing_folders(settings: Settings) -> list[Path]:
    """The folders below landing/, each a source but for the one of the catalogue."""
    return [path for path in visible(settings.landing_dir) if path.is_dir() and path.name not in NO_SOURCES]


def passed_over(settings: Settings) -> list[str]:
    """What is wrong with landing folders whose files are passed over, one message each."""
    wrong = []
    for folder in landing_folders(settings):
        try:
            safe_name(folder.name)
        except SettingError as error:
            wrong.append(str(error))
        wrong += [f"folder {below} cannot be read" for below in _unreadable(folder)]
    return wrong


def out_of_reach(sources: Sources) -> dict[str, str]:
    """Sources whose declared path has nothing to read, with the reason."""
    wrong = {}
    for source, place in sources.places.items():
        if not place.root.exists():
            wrong[source] = f"{place.root} does not exist (setting path in {FILE})"
        elif blocked := next(_unreadable(place.root), None):
            wrong[source] = f"{blocked} cannot be read"
    return wrong


def _unreadable(folder: Path) -> Iterator[Path]:
    if not os.access(folder, os.R_OK | os.X_OK if folder.is_dir() else os.R_OK):
        yield folder
    for path in visible(folder):
        if path.is_dir() and not path.is_symlink():
            yield from _unreadable(path)
