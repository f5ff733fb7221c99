"""A judged version of a list goes into the store."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.logs.listeners import KeyRing
from ingest.reference.address_keys import without_addresses
from ingest.reference.lists import LISTS
from ingest.reference.store import ListStore, Origin, kept_files
from ingest.reference.validate import Judged

ETag = tuple[str, str | None, str | None]  # address, ETag, Last-Modified


def keep(
    store: ListStore,
    keys: KeyRing,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    judged: Judged,
    source: str,
    now_us: int,
    asked: dict[str, ETag] | None = None,
) -> None:
    """Keep a judged version; of the operator's addresses a copy that names none."""
    if LISTS[name].has_addresses:
        entries = judged.parsed.rules.entries
        files = {f"{name}.csv": without_addresses(entries, keys).encode()}
    origin = Origin(source, now_us, judged.parsed.counts, kept_files(files, asked), judged.doubts)
    store.keep(name, version, files, origin)
