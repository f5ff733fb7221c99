"""Fetch every list, judge it, put it in use: the last good one stays wherever that fails."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

import httpx

from ingest.lake import utc_now_us
from ingest.logs.listeners import KeyRing
from ingest.logs.ranges import ReferenceListError
from ingest.reference import fetch
from ingest.reference.declared import Source, sources
from ingest.reference.keep import ETag, keep
from ingest.reference.lists import LISTS, built_in, read_files, version_of
from ingest.reference.store import Checked, Kept, ListStore
from ingest.reference.validate import judge
from ingest.schema import DAY_US
from ingest.settings import SettingError, Settings


class Outcome(StrEnum):
    """What came of looking for a list."""

    UPDATED = "updated"  # another version is in use now
    UNCHANGED = "unchanged"  # what is in use is the newest
    REFUSED = "refused"  # there is one that cannot be used; the last good one stays
    UNREACHABLE = "unreachable"  # nothing could be had; the last good one stays


@dataclass(frozen=True)
class Refreshed:
    """One list after a refresh; version, entries and times are of what the store has in use now."""

    name: str
    outcome: Outcome
    source: str
    reason: str | None = None
    version: str | None = None  # None: there is no good one yet
    entries: int | None = None
    fetched_us: int | None = None
    confirmed_us: int | None = None  # when it was last known to be the newest
    max_age_days: float = 7

    def is_stale(self, now_us: int) -> bool:
        """Not known to be the newest for longer than its setting allows."""
        return self.confirmed_us is None or now_us - self.confirmed_us > self.max_age_days * DAY_US


def refresh(
    settings: Settings,
    names: Collection[str] = (),
    accepted: Collection[str] = (),
    now_us: int | None = None,
) -> list[Refreshed]:
    """Look for every list that is set up, or for those of `names`; `accepted`: whose doubts are meant.

    A list that is refused or unreachable is told, not raised. Raises SettingError and OSError.
    """
    now_us = utc_now_us() if now_us is None else now_us
    wanted = sources(settings)
    if unknown := sorted((set(names) | set(accepted)) - set(wanted)):
        raise SettingError(f"there is no list {unknown[0]!r}; allowed are {', '.join(wanted)}")
    store = ListStore.of(settings)
    keys = KeyRing.of(settings)
    with fetch.client() as http:
        return [
            _refresh(source, store, keys, http, now_us, source.name in accepted)
            for source in wanted.values()
            if (not names or source.name in names) and is_set_up(source, store)
        ]


def is_set_up(source: Source, store: ListStore) -> bool:
    """Is there anything to look for? Also a list that is gone from the data folder: it stays in use."""
    has_place = bool(source.urls or source.paths) or store.current_or_none(source.name) is not None
    return source.is_used and has_place


def _refresh(
    source: Source, store: ListStore, keys: KeyRing, http: httpx.Client, now_us: int, accepted: bool
) -> Refreshed:
    reason = None
    try:
        outcome = _renew(source, store, keys, http, now_us, accepted)
    except fetch.Unreachable as error:
        outcome, reason = Outcome.UNREACHABLE, str(error)
    except (fetch.Refused, ReferenceListError) as error:
        outcome, reason = Outcome.REFUSED, f"{source.name}: {error}"
    before = store.checked(source.name)
    confirmed_us = before.confirmed_us if before else None
    if outcome in (Outcome.UPDATED, Outcome.UNCHANGED):
        confirmed_us = now_us
    with store.writing():
        store.note(source.name, Checked(now_us, outcome.value, reason, confirmed_us))
    return looked_at(source, store, Refreshed(source.name, outcome, source.origin, reason))


def looked_at(source: Source, store: ListStore, of: Refreshed) -> Refreshed:
    """`of`, with what the store has in use."""
    version, checked = store.current_or_none(source.name), store.checked(source.name)
    of = replace(of, max_age_days=source.max_age_days, confirmed_us=checked.confirmed_us if checked else None)
    if version is None:
        return of
    origin = store.origin(source.name, version)
    return replace(of, version=version, entries=origin.entries, fetched_us=origin.fetched_us)


def _renew(
    source: Source, store: ListStore, keys: KeyRing, http: httpx.Client, now_us: int, accepted: bool
) -> Outcome:
    """Raises Unreachable, Refused and ReferenceListError."""
    name = source.name
    current = _current(store, name)
    files, asked = _local(source) if source.paths else _fetched(source, current, http)
    version = version_of(files)
    if current is not None and version == current.version:
        return Outcome.UNCHANGED
    in_use = current.origin.counts if current else _counts_of_built_in(name)
    judged = judge(source.spec, files, in_use, accepted)
    # Only now: what is fetched slowly must not keep an intake waiting.
    with store.writing():
        keep(store, keys, name, version, files, judged, source.origin, now_us, asked)
        store.switch(name, version)
    return Outcome.UPDATED


def _current(store: ListStore, name: str) -> Kept | None:
    """The version in use, if it is whole: only then may a server answer that nothing has changed."""
    try:
        return store.open_current(name)
    except ReferenceListError:
        return None


def _counts_of_built_in(name: str) -> dict[str, int]:
    file = LISTS[name].built_in
    return LISTS[name].read({file: built_in(file)}).counts if file else {}


def _local(source: Source) -> tuple[dict[str, bytes], dict[str, ETag]]:
    missing = [path for path in source.paths if not path.is_file()]
    if missing:
        raise fetch.Unreachable(f"{missing[0]} is not there; an empty file would empty the list")
    return read_files(list(source.paths)), {}


def _fetched(
    source: Source, current: Kept | None, http: httpx.Client
) -> tuple[dict[str, bytes], dict[str, ETag]]:
    """The files of all addresses: those that have not changed are taken from the version in use."""
    if not source.urls:
        raise fetch.Unreachable(
            f"{source.spec.in_folder[0]} in the data folder is gone; an empty file would empty the list"
        )
    # A copy that names no addresses has no url: its server cannot say that it has not changed.
    known = {file.url: file for file in current.origin.files} if current else {}
    files, asked = {}, {}
    for name, url in zip(source.file_names(), source.urls, strict=True):
        kept = known.get(url)
        answer = fetch.get(url, fetch.Known(kept.etag, kept.last_modified) if kept else fetch.Known(), http)
        if answer.body is None:
            assert kept is not None and current is not None
            files[name] = current.files[kept.name]
        else:
            files[name] = answer.body
        asked[name] = (url, answer.known.etag, answer.known.last_modified)
    return files, asked


def known_outcome(source: Source, store: ListStore) -> Refreshed | None:
    """How a list stands by the latest look for it; None where nobody has looked, or there is nothing to."""
    checked = store.checked(source.name)
    if checked is None or checked.outcome not in list(Outcome) or not is_set_up(source, store):
        return None
    return looked_at(
        source, store, Refreshed(source.name, Outcome(checked.outcome), source.origin, checked.reason)
    )
