"""The checksum of every Parquet file that we write into a lake: one that changed on its disk is found.

    lake/.checksums/2026-11.txt    digests of what was written in a month, 32 hex digits a line
    lake/.checksums/kept.txt       those of earlier months whose files are still there
    lake/.checksums/complete       each file of the lake had its digest noted when written, or looked through

What is noted is a content, not a name: files of the lake are linked and renamed, but never changed. A file
whose digest nobody noted is another one than was written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

import xxhash

from ingest.durable import locked, write_atomically

FOLDER, COMPLETE, KEPT = ".checksums", "complete", "kept.txt"
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
    line = f"{digest_of(written)}\n".encode()
    month = time.strftime("%Y-%m.txt", time.gmtime())
    try:
        handle = _open(root, month)
    except FileNotFoundError:
        (root / FOLDER).mkdir(exist_ok=True)
        handle = _open(root, month)
    try:
        os.write(handle, line)  # one write: lines of several processes never mix
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
    return {line for path in _lists(root) for line in path.read_text().split()}


def keep_only(root: Path, there: Collection[str], now_s: float, also: Collection[str] = ()) -> None:
    """Forget digests of files that are gone: of months before the last one, which nobody writes to any more.

    `there`: of all files that are; `also`: digests to be noted newly.
    """
    recent = {time.strftime("%Y-%m.txt", time.gmtime(now_s - days * 86_400)) for days in (-31, 0, 31)}
    with locked(root / FOLDER / ".lock"):
        old = [path for path in _lists(root) if path.name not in recent]
        known = {line for path in old for line in path.read_text().split()}
        kept = sorted((known & set(there)) | set(also))
        write_atomically(root / FOLDER / KEPT, "".join(f"{line}\n" for line in kept).encode())
        for path in old:
            if path.name != KEPT:
                path.unlink()


def _lists(root: Path) -> list[Path]:
    return sorted((root / FOLDER).glob("*.txt"))


def _open(root: Path, month: str) -> int:
    return os.open(root / FOLDER / month, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


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
