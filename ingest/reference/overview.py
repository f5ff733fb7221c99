"""How the lists stand: which version is in use, what became of the latest look, what needs a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl

from ingest.logs.ranges import ReferenceListError
from ingest.logs.rejects import masked
from ingest.reference.address_lists import AddressList
from ingest.reference.in_force import ABSENT, BUILT_IN, InForce
from ingest.reference.lists import LISTS
from ingest.reference.refresh import Outcome, Refreshed
from ingest.reference.store import ListStore
from ingest.schema import DAY_US

LISTED: dict[str, type[pl.DataType] | pl.DataType] = {
    "list": pl.String,
    "version": pl.String,
    "entries": pl.Int64,
    "origin": pl.String,
    "fetched_at": pl.Datetime("us"),  # UTC
    "in_use": pl.Boolean,
    "outcome": pl.String,  # of the latest look for it; null: it is not fetched
}


@dataclass(frozen=True)
class Told:
    """A verdict over all lists: `failing` has a row for each that it is about."""

    passed: bool
    message: str
    failing: pl.DataFrame


def listed(
    in_force: Iterable[InForce], refreshed: Iterable[Refreshed], store: ListStore, all_versions: bool = False
) -> pl.DataFrame:
    """One row a version, columns of LISTED: of each list the one in use, and the store's where that differs.

    all_versions: all that are kept.
    """
    outcomes = {each.name: each for each in refreshed}
    rows: list[tuple[object, ...]] = []
    for found in in_force:
        name, outcome = found.spec.name, outcomes.get(found.spec.name)
        told = outcome.outcome.value if outcome else None
        is_there = found.version != ABSENT
        if not store.has(name, found.version):
            entries = found.parsed.entries
            rows.append((name, found.version, entries, found.origin, found.fetched_us, is_there, told))
        good = store.current_or_none(name)
        rows += [
            (name, version, *_described(store, name, version), version == found.version, told)
            for version in store.versions(name)
            if all_versions or version in (found.version, good)
        ]
    frame = pl.DataFrame(rows, schema=LISTED | {"fetched_at": pl.Int64}, orient="row")
    return frame.with_columns(pl.from_epoch("fetched_at", time_unit="us"))


def _described(store: ListStore, name: str, version: str) -> tuple[int | None, str, int | None]:
    try:
        origin = store.origin(name, version)
    except ReferenceListError as error:
        return None, str(error), None
    return origin.entries, origin.source, None if origin.source == BUILT_IN else origin.fetched_us


def valid(refreshed: Iterable[Refreshed]) -> Told:
    """No list was refused."""
    refused = [each for each in refreshed if each.outcome is Outcome.REFUSED]
    told = "; ".join(f"{each.reason}{_stays(each)}" for each in refused)
    return Told(not refused, told or "no list was refused", _rows(refused))


def fresh(refreshed: Iterable[Refreshed], now_us: int) -> Told:
    """Every list was found to be the newest within its max_age_days."""
    stale = [each for each in refreshed if each.is_stale(now_us)]
    told = "; ".join(f"{each.name} {_unconfirmed(each, now_us)}{_stays(each)}" for each in stale)
    return Told(not stale, told or "every list is as new as its max_age_days wants it", _rows(stale))


def _unconfirmed(each: Refreshed, now_us: int) -> str:
    if each.confirmed_us is None:
        return "could never be fetched"
    days = (now_us - each.confirmed_us) / DAY_US
    return f"was last confirmed {days:.0f} days ago (max_age_days = {each.max_age_days:g})"


def inclusions_validated(included: AddressList, on: date) -> Told:
    """No included address waits to be looked at again (R12). Names lines: addresses belong in no message."""
    expired = included.expired(on)
    rows = [
        (entry.line, entry.validated_on or entry.added_on, entry.expires_on, entry.reason)
        for entry in expired
    ]
    schema = {"line": pl.Int64, "validated_on": pl.Date, "expired_on": pl.Date, "reason": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(masked(pl.col("reason")))
    if not expired:
        return Told(True, f"all {len(included.entries)} included addresses are validated", frame)
    lines = ", ".join(str(entry.line) for entry in expired[:20])
    message = (
        f"{len(expired)} of {len(included.entries)} included addresses no longer act (lines {lines}): look "
        "whether many listeners are still behind them, and set validated_on to that day"
    )
    return Told(False, message, frame)


def _stays(each: Refreshed) -> str:
    if each.version:
        return f"; version {each.version} stays in use"
    return "; our own small list is in use" if LISTS[each.name].built_in else "; nothing is in use"


def _rows(refreshed: list[Refreshed]) -> pl.DataFrame:
    rows = [
        (each.name, each.outcome.value, each.reason, each.version or ABSENT, each.source)
        for each in refreshed
    ]
    return pl.DataFrame(rows, schema=["list", "outcome", "reason", "in_use", "source"], orient="row")
