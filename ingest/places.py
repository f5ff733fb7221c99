"""Where the files of a declared source are: a folder, a file or a pattern; and whether two can share one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

UNFINISHED = (".tmp", ".part", ".partial", ".swp", ".crdownload", ".filepart")
ANY_DEPTH = "**"  # no, one or several folders
_SIGN = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Place:
    """`root` is what stands before the first pattern sign, links resolved; `parts` is the rest.

    Without a sign it is a file, or a folder with all below it.
    """

    root: Path
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, below: Path) -> Place:
        """From a setting, relative to `below`."""
        names = Path(os.path.normpath(text)).parts
        fixed = next((n for n, name in enumerate(names) if _SIGN.search(name)), len(names))
        return cls.at(below.joinpath(*names[:fixed]), names[fixed:])

    @classmethod
    def at(cls, root: Path, parts: tuple[str, ...] = ()) -> Place:
        """`root` as it is, whatever signs its own path has."""
        return cls(Path(os.path.realpath(root)), parts)

    def files(self) -> Iterator[tuple[Path, str]]:
        """Its files with their names: the path below `root`, the same wherever one looks from."""
        if not self.parts and self.root.is_file():
            yield self.root, self.root.name
            return
        for path in sorted(set(_matching(self.root, self.parts or (ANY_DEPTH, "*")))):
            yield path, path.relative_to(self.root).as_posix()

    def shares_files_with(self, other: Place) -> bool:
        """Could one file belong to both?"""
        return _share(self._names(), other._names())

    def _names(self) -> tuple[str, ...]:
        return self.root.parts + (self.parts or (ANY_DEPTH,))


def visible(folder: Path) -> list[Path]:
    """What lies in `folder`; nothing where it cannot be read, so that it does not stop the others."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def files_below(folder: Path) -> Iterator[Path]:
    """All files below `folder` but hidden and half-copied ones."""
    return _matching(folder, (ANY_DEPTH, "*"))


def _matching(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    part, rest = parts[0], parts[1:]
    if part == ANY_DEPTH:
        yield from _matching(folder, rest or ("*",))
        for path in visible(folder):
            if path.is_dir() and not path.is_symlink():  # a link to a folder above would never end
                yield from _matching(path, parts)
        return
    for path in visible(folder):
        if not fnmatchcase(path.name, part):
            continue
        if rest:
            if path.is_dir():
                yield from _matching(path, rest)
        elif path.is_file() and not path.name.lower().endswith(UNFINISHED):
            yield path


@cache
def _share(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Is there a path that both patterns match, folder by folder?"""
    for mine, theirs in ((one, other), (other, one)):
        if mine[:1] == (ANY_DEPTH,):
            return _share(mine[1:], theirs) or (bool(theirs) and _share(mine, theirs[1:]))
    if not one or not other:
        return not one and not other
    return _names_share(_signs(one[0]), _signs(other[0])) and _share(one[1:], other[1:])


def _signs(name: str) -> tuple[str, ...]:
    """A pattern of one name, sign by sign: `*`, a set in brackets, or one character."""
    return tuple(re.findall(r"\[!?\]?[^\]]*\]|.", name, re.DOTALL))


@cache
def _names_share(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    for mine, theirs in ((one, other), (other, one)):
        if mine[:1] == ("*",):
            return _names_share(mine[1:], theirs) or (bool(theirs) and _names_share(mine, theirs[1:]))
    if not one or not other:
        return not one and not other
    return _meet(one[0], other[0]) and _names_share(one[1:], other[1:])


def _meet(one: str, other: str) -> bool:
    """Can one character stand for both signs? Two sets in brackets are not compared: perhaps."""
    for mine, theirs in ((one, other), (other, one)):
        if len(mine) == 1 and mine != "?":
            return fnmatchcase(mine, theirs)
    return True
