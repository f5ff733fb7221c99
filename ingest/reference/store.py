"""Versions of lists on disk: the one in use, and all earlier ones, so that counts can be restated.

    <data>/reference/<list>/<version>/<files> origin.json
    <data>/reference/<list>/current        link to a version: the last good one
    <data>/reference/<list>/checked.json   when it was last looked for, and what came of it

A version is a hash of its content: keeping it twice changes nothing. Its folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from ingest.durable import locked, sync, write_atomically
from ingest.logs.ranges import ReferenceListError
from ingest.settings import Settings

ORIGIN, CHECKED, CURRENT = "origin.json", "checked.json", "current"
_NEW = ".new-"  # a folder or link in the making
_VERSION = re.compile(r"[0-9a-f]{12}")

T = TypeVar("T")


@dataclass(frozen=True)
class KeptFile:
    """One file of a version, and what its server said of it."""

    name: str
    sha256: str
    url: str | None = None
    etag: str | None = None  # byte for byte, one character each
    last_modified: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where a version came from (origin.json)."""

    source: str  # an address, a path, "built in"
    fetched_us: int
    counts: dict[str, int]  # entries by part
    files: list[KeptFile] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)  # what its validation found and the operator accepted

    @property
    def entries(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Checked:
    """The latest look for a list (checked.json)."""

    checked_us: int
    outcome: str
    reason: str | None = None
    confirmed_us: int | None = None  # when what is in use was last known to be the newest


@dataclass(frozen=True)
class Kept:
    """One version with its files, as they were kept."""

    list: str
    version: str
    origin: Origin
    files: dict[str, bytes]


@dataclass(frozen=True)
class ListStore:
    """All versions of all lists below `root`."""

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> ListStore:
        """The store of this installation."""
        return cls(settings.data / "reference")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time; what a killed one left half-made goes."""
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / ".lock"):
            for leftover in self.root.glob(f"*/{_NEW}*"):
                _remove(leftover)
            yield

    def lists(self) -> list[str]:
        """Names of the lists of which there is a version."""
        if not self.root.is_dir():
            return []
        return sorted(
            folder.name for folder in self.root.iterdir() if folder.is_dir() and self.versions(folder.name)
        )

    def versions(self, name: str) -> list[str]:
        """Versions of a list, the oldest first."""
        folder = self.root / name
        found = (
            [path.name for path in folder.iterdir() if self.has(name, path.name)] if folder.is_dir() else []
        )
        return sorted(found, key=lambda version: (self._fetched_us(name, version), version))

    def _fetched_us(self, name: str, version: str) -> int:
        try:
            return self.origin(name, version).fetched_us
        except ReferenceListError:
            return 0  # one that is damaged must not hide the others

    def has(self, name: str, version: str) -> bool:
        """Is this version kept?"""
        return bool(_VERSION.fullmatch(version)) and (self.root / name / version / ORIGIN).is_file()

    def current(self, name: str) -> str | None:
        """The version in use; None without any. Raises ReferenceListError when the link leads nowhere."""
        link = self.root / name / CURRENT
        if not link.is_symlink():
            return None
        version = os.readlink(link)  # noqa: PTH115  its own word, not where it leads
        if not self.has(name, version):
            raise ReferenceListError(f"{link} leads to {version!r}, which is not there; {_ADVICE}")
        return version

    def origin(self, name: str, version: str) -> Origin:
        """Where a version came from. Raises ReferenceListError naming the file."""
        path = self.root / name / version / ORIGIN
        content = _json(path)
        try:
            files = [KeptFile(**file) for file in content.pop("files")]
            return Origin(files=files, **content)
        except (AttributeError, KeyError, TypeError) as error:
            raise ReferenceListError(f"{path} is damaged: {error}; {_ADVICE}") from error

    def open(self, name: str, version: str) -> Kept:
        """A version, its files compared with their checksums. Raises ReferenceListError naming the file."""
        if not self.has(name, version):
            known = ", ".join(self.versions(name)) or "none"
            raise ReferenceListError(f"version {version} of the list {name} is not kept; there are {known}")
        origin = self.origin(name, version)
        files = {}
        for file in origin.files:
            path = self.root / name / version / file.name
            try:
                files[file.name] = path.read_bytes()
            except OSError as error:
                raise ReferenceListError(f"{path} cannot be read: {error.strerror}; {_ADVICE}") from error
            if _sha256(files[file.name]) != file.sha256:
                raise ReferenceListError(f"{path} is damaged: it is not what was fetched; {_ADVICE}")
        return Kept(name, version, origin, files)

    def open_current(self, name: str) -> Kept | None:
        """The version in use; None without any. Raises ReferenceListError naming the file."""
        version = self.current(name)
        return None if version is None else self.open(name, version)

    def keep(self, name: str, version: str, files: Mapping[str, bytes], origin: Origin) -> None:
        """Keep a version. One that is whole stays as it is."""
        folder = self.root / name / version
        if self._is_whole(name, version):
            return
        fresh = folder.with_name(f"{_NEW}{version}")
        fresh.mkdir(parents=True)
        for file_name, body in {**files, ORIGIN: _dumped(asdict(origin))}.items():
            path = fresh / file_name
            path.write_bytes(body)
            sync(path)
        sync(fresh)
        if folder.exists():  # damaged
            folder.rename(folder.with_name(f"{_NEW}old-{version}"))
        fresh.rename(folder)
        sync(folder.parent)
        _remove(folder.with_name(f"{_NEW}old-{version}"))

    def _is_whole(self, name: str, version: str) -> bool:
        try:
            return self.has(name, version) and bool(self.open(name, version).files)
        except ReferenceListError:
            return False

    def switch(self, name: str, version: str) -> None:
        """Put a kept version in use, in one step for whoever looks."""
        folder = self.root / name
        if self.current_or_none(name) != version:
            fresh = folder / f"{_NEW}{CURRENT}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(version, target_is_directory=True)
            fresh.replace(folder / CURRENT)
            sync(folder)

    def current_or_none(self, name: str) -> str | None:
        """The version in use; None also where the store is broken, so that it can be mended."""
        try:
            return self.current(name)
        except ReferenceListError:
            return None

    def checked(self, name: str) -> Checked | None:
        """The latest look for a list; None before the first, and where its note cannot be read."""
        path = self.root / name / CHECKED
        try:
            return Checked(**_json(path)) if path.exists() else None
        except (ReferenceListError, TypeError):
            return None

    def note(self, name: str, checked: Checked) -> None:
        """Write down what came of looking for a list."""
        write_atomically(self.root / name / CHECKED, _dumped(asdict(checked)))


_ADVICE = "`earshot lists refresh` fetches it again, or remove its folder"


def kept_files(
    files: Mapping[str, bytes], urls: Mapping[str, tuple[str, str | None, str | None]] | None = None
) -> list[KeptFile]:
    """The record of `files`; `urls`: (address, ETag, Last-Modified) of those that were fetched."""
    nothing = (None, None, None)
    return [KeptFile(name, _sha256(body), *(urls or {}).get(name, nothing)) for name, body in files.items()]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _dumped(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ReferenceListError(f"{path} is damaged: {error}; {_ADVICE}") from error
    if not isinstance(content, dict):
        raise ReferenceListError(f"{path} is damaged: no object; {_ADVICE}")
    return content


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
