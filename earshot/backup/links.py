"""All files of a folder as hard links in another, brought up to date as often as one likes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earshot.backup.manifest import BackupError

Progress = Callable[[str, int, int], None]  # (step, how many are done, how many there are)


@dataclass(frozen=True)
class Found:
    """A file below a folder."""

    name: str  # its path below
    path: str  # where it is, links followed
    is_it: tuple[int, int, int, int]  # tells it from every other file that ever had its name


class Links:
    """A folder of links to all files below `root`; of copies where its disk knows no links."""

    def __init__(self, root: Path, into: Path) -> None:
        self._root, self._into = root, into
        self._there: dict[str, tuple[int, int, int, int]] = {}
        self._folders: set[str] = set()

    def bring_up_to_date(self, progress: Progress, step: str, is_still: bool) -> None:
        """Link what is new or another file by now, and remove what is gone: 1 s for 100,000 that stayed.

        is_still: nobody changes anything meanwhile; otherwise what vanishes is left out. Raises BackupError,
        OSError.
        """
        files = list(files_below(self._root, is_still))
        for done, file in enumerate(files, 1):
            with contextlib.nullcontext() if is_still else contextlib.suppress(FileNotFoundError):
                if self._there.get(file.name) != file.is_it:
                    self._link(file)
            if not done % 25 or done == len(files):
                progress(step, done, len(files))
        for gone in self._there.keys() - {file.name for file in files}:
            (self._into / gone).unlink()
            del self._there[gone]

    def _link(self, file: Found) -> None:
        copy = f"{self._into}/{file.name}"
        if self._there.pop(file.name, None):
            Path(copy).unlink()
        folder = copy.rpartition("/")[0]
        if folder not in self._folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        try:
            os.link(file.path, copy)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or one that knows no links
            shutil.copy2(file.path, copy)
        self._there[file.name] = file.is_it


def files_below(root: Path, is_still: bool = True) -> Iterator[Found]:
    """All but hidden ones, which are locks and what is in the making; links are followed.

    is_still: nobody changes anything meanwhile. Raises BackupError for a link that leads nowhere or in a
    circle, and for what is no file.
    """
    yield from _below(str(root), "", (os.path.realpath(root),), is_still)


def _below(folder: str, prefix: str, above: tuple[str, ...], is_still: bool) -> Iterator[Found]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        if is_still:
            raise
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        name, is_link = f"{prefix}{entry.name}", entry.is_symlink()
        path = os.path.realpath(entry.path) if is_link else entry.path
        if Path(path).is_dir() if is_link else entry.is_dir():
            real = path if is_link else f"{above[-1]}/{entry.name}"
            if real in above:
                raise BackupError(f"the link {entry.path} leads back to a folder above it: remove it")
            yield from _below(path, f"{name}/", (*above, real), is_still)
        elif Path(path).is_file() if is_link else entry.is_file():
            with contextlib.nullcontext() if is_still else contextlib.suppress(FileNotFoundError):
                stat = entry.stat()
                yield Found(name, path, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        elif is_still or os.path.lexists(entry.path):
            what = "is a link that leads nowhere" if is_link else "is neither a file nor a folder"
            raise BackupError(f"{entry.path} {what}: mend or remove it, and back up again")
