"""The checksum of every Parquet file that we write into a lake: one that changed on its disk is found.

    lake/.checksums/2026-11.txt    digests of what was written in a month, 32 hex digits a line
    lake/.checksums/kept.txt       those of earlier months whose files are still there
    lake/.checksums/complete       each file of the lake had its digest noted when written, or looked through
    lake/.checksums/names          files that must be there since they were written with rows (MUST_STAY)
    lake/.checksums/twin/          all lists once more: a fault in one of them loses nothing

What is noted is a content, not a name: files of the lake are linked and renamed, but never changed. A file
whose digest nobody noted is another one than was written.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import xxhash

from ingest.durable import locked, write_atomically

FOLDER, COMPLETE, KEPT, TWIN, NAMES = ".checksums", "complete", "kept.txt", "twin", "names"
# Below the lake: never removed, and their absence would change figures or what is told of them.
MUST_STAY = re.compile(
    r"catalog/episodes\.parquet|kept\.parquet|suppressed\.parquet"
    r"|(?:rules|restatements_told|files/[^/]+)/[^._/][^/]*\.parquet"
)
Progress = Callable[[int, int], None]  # files looked at, all files
_CHUNK = 1 << 20
_DEEPEST = 6  # folders between a lake and its files, at most


def digest_of(path: Path) -> str:
    """32 hex digits: xxh3 of all bytes, which tells of every fault of a disk, not of an attacker."""
    found = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def note(written: Path) -> None:
    """Remember what `written` holds, before it gets its name; outside a lake nothing. Raises OSError."""
    root = _lake_of(written.parent)
    if root is None:
        return
    _append(root, time.strftime("%Y-%m.txt", time.gmtime()), digest_of(written))


def note_name(written: Path) -> None:
    """Remember that the file of this name is there, if it is one that must stay. Raises OSError."""
    root = _lake_of(written.parent)
    if root is None or not MUST_STAY.fullmatch(name := written.relative_to(root).as_posix()):
        return
    if any(name not in _names(folder) for folder in _folders(root)):
        _append(root, NAMES, f"{name} {_check(name)}")


def must_be_there(root: Path) -> list[Path]:
    """Names, below the lake at `root`, of files that were written and are never removed."""
    return sorted(Path(name) for name in set().union(*(_names(folder) for folder in _folders(root))))


def forget_names(root: Path, gone: Collection[Path]) -> None:
    """Files that need not be there any more; paths below the lake at `root`. Raises OSError."""
    names = {path.as_posix() for path in gone}
    for folder in _folders(root):
        kept = sorted(_names(folder) - names)
        if (folder / NAMES).exists():
            write_atomically(folder / NAMES, "".join(f"{name} {_check(name)}\n" for name in kept).encode())


def _names(folder: Path) -> set[str]:
    try:
        text = (folder / NAMES).read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return set()
    lines = (line.rpartition(" ") for line in text.splitlines())
    return {name for name, _, check in lines if MUST_STAY.fullmatch(name) and check == _check(name)}


def _check(name: str) -> str:
    return xxhash.xxh3_64_hexdigest(name.encode())[:8]


def _append(root: Path, name: str, line: str) -> None:
    for folder in _folders(root):
        try:
            handle = _open(folder / name)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            handle = _open(folder / name)
        try:
            os.write(handle, f"{line}\n".encode())  # one write: lines of several processes never mix
        finally:
            os.close(handle)


def is_complete(root: Path) -> bool:
    """Whether a file without a noted digest is one that changed, and not one of before digests were noted."""
    return (root / FOLDER / COMPLETE).exists()


def make_complete(root: Path) -> None:
    (root / FOLDER).mkdir(exist_ok=True)
    (root / FOLDER / COMPLETE).touch()


def noted(root: Path) -> set[str]:
    """All digests. Read them after the files they are compared with: a file is noted before it is there."""
    return set().union(*(_digests(_lists(folder)) for folder in _folders(root)))


def keep_only(root: Path, there: Collection[str], now_s: float, also: Collection[str] = ()) -> None:
    """Forget digests of files that are gone: of months before the last one, which nobody writes to any more.

    `there`: of all files that are; `also`: digests to be noted newly.
    """
    recent = {time.strftime("%Y-%m.txt", time.gmtime(now_s - days * 86_400)) for days in (-31, 0, 31)}
    folders = _folders(root)
    with locked(root / FOLDER / ".lock"):
        folders[1].mkdir(exist_ok=True)
        old = [path for folder in folders for path in _lists(folder) if path.name not in recent]
        new = [_digests(path for path in _lists(folder) if path.name in recent) for folder in folders]
        known = _digests(old) | (new[0] ^ new[1])
        kept = sorted((known & set(there)) | set(also))
        for folder in folders:
            write_atomically(folder / KEPT, "".join(f"{line}\n" for line in kept).encode())
        for path in old:
            if path.name != KEPT:
                path.unlink()


def _folders(root: Path) -> tuple[Path, Path]:
    return root / FOLDER, root / FOLDER / TWIN


def _lists(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"))


def _digests(lists: Iterable[Path]) -> set[str]:
    return {line for path in lists for line in path.read_bytes().decode(errors="replace").split()}


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


_lakes: dict[Path, Path] = {}  # folder → its lake, as far as there is one; a lake may still come to others
_MOST_KNOWN = 4096


def _lake_of(folder: Path) -> Path | None:
    if (known := _lakes.get(folder)) is not None:
        return known
    above = (folder, *folder.parents)[:_DEEPEST]
    found = next((one for one in above if (one / "FORMAT").exists()), None)
    if found is not None:
        if len(_lakes) >= _MOST_KNOWN:
            _lakes.clear()
        _lakes[folder] = found
    return found
