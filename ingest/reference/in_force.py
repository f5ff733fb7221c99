"""Which version of each list is in force: a local folder's, else the store's, else our own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.logs.ranges import ReferenceListError
from ingest.reference.declared import Source, sources
from ingest.reference.lists import (
    LISTS,
    ListSpec,
    Parsed,
    built_in,
    read_files,
    version_of,
)
from ingest.reference.store import Kept, ListStore
from ingest.reference.validate import judge
from ingest.settings import SettingError, Settings

BUILT_IN = "built in"
ABSENT = "none"  # version of a list that is not there


@dataclass(frozen=True)
class InForce:
    """One list as it is used; version `none`: absent, a rule that does nothing."""

    spec: ListSpec
    parsed: Parsed
    version: str = ABSENT
    origin: str | None = None  # what it is, and of a local file the path last
    fetched_us: int | None = None  # null for what was not fetched
    files: Mapping[str, bytes] | None = None  # of what is not in the store yet


def lists_in_force(
    settings: Settings, versions: Mapping[str, str] | None = None, names: Collection[str] = tuple(LISTS)
) -> dict[str, InForce]:
    """The lists of these names: the newest good version, or of those in `versions` an earlier one.

    Raises SettingError, and ReferenceListError naming the file.
    """
    store, declared = ListStore.of(settings), sources(settings)
    folder = settings.reference_dir
    if folder is not None and not folder.is_dir():
        raise SettingError(
            f"setting EARSHOT_REFERENCE_DIR = {str(folder)!r} cannot be used: there is no such folder"
        )
    found = {}
    for name in names:
        spec = LISTS[name]
        if versions is not None and name in versions:
            found[name] = _earlier(spec, store, versions[name])
        elif not declared[name].is_used:
            found[name] = _own(spec)
        else:
            found[name] = _local(spec, folder, store) or _kept(declared[name], store) or _own(spec)
    return found


def _earlier(spec: ListSpec, store: ListStore, version: str) -> InForce:
    if version == ABSENT:
        return _absent(spec)
    own = _own(spec)
    if own.version == version:
        return own
    return _opened(spec, store.open(spec.name, version))


def _local(spec: ListSpec, folder: Path | None, store: ListStore) -> InForce | None:
    paths = spec.paths(folder) if folder else []
    if not paths:
        return None
    try:
        files = read_files(paths)
        version = version_of(files)
        # What is kept was judged when it was.
        parsed = spec.read(files) if store.has(spec.name, version) else judge(spec, files).parsed
    except ReferenceListError as error:
        raise ReferenceListError(
            f"setting EARSHOT_REFERENCE_DIR = {str(folder)!r}: the list {spec.name} cannot be used: {error}"
        ) from error
    origin = f"{_named(paths[0].parent)}, {paths[0].parent if spec.files else paths[0]}"
    return InForce(spec, parsed, version, origin, None, files)


def _named(folder: Path) -> str:
    """A reference folder in words: with the first line of its file VERSION, where it has one."""
    with suppress(OSError):
        first = (folder / "VERSION").read_text("utf-8", "replace").partition("\n")[0].strip()
        if first.isprintable() and first:
            return f"reference folder, version {first[:80]}"
    return "reference folder"


def _kept(source: Source, store: ListStore) -> InForce | None:
    """The store's version in use. It names no addresses: where the list itself is at hand, that is read."""
    kept = store.open_current(source.name)
    if kept is None:
        return None
    if source.spec.has_addresses and source.paths:
        with suppress(ReferenceListError):  # vanished or spoilt since: the copy judges alike
            files = read_files(list(source.paths))
            if version_of(files) == kept.version:
                return InForce(source.spec, source.spec.read(files), kept.version, kept.origin.source)
    return _opened(source.spec, kept)


def _opened(spec: ListSpec, kept: Kept) -> InForce:
    fetched_us = kept.origin.fetched_us if kept.origin.source.startswith("http") else None
    return InForce(spec, spec.read(kept.files), kept.version, kept.origin.source, fetched_us)


def _own(spec: ListSpec) -> InForce:
    """Our own list, or none."""
    if spec.built_in is None:
        return _absent(spec)
    files = {spec.built_in: built_in(spec.built_in)}
    return InForce(spec, spec.read(files), version_of(files), BUILT_IN, None, files)


def _absent(spec: ListSpec) -> InForce:
    return InForce(spec, Parsed(spec.empty(), {}))
