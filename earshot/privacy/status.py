"""Of each key epoch its days and the life of its secret; and how long what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ingest.logs.keyring import EPOCH_DAYS, EPOCH_US, LISTS_EPOCH, KeyEpoch, KeyRing
from ingest.settings import Settings


def epochs(settings: Settings, now_us: int) -> list[dict[str, Any]]:
    """One row an epoch with a secret or a tombstone: epoch, first_day, last_day, made, destroyed, due, state.

    state: in use, overlap, late files, due, destroyed; lists for the one that hashes lists of addresses;
    lost: there was a key file, and nobody here destroyed it.
    """
    keys = KeyRing.of(settings)
    lost = keys.lost()
    known = [*keys.epochs(), *(KeyEpoch(epoch, None) for epoch in lost)]
    rows = [_row(each, settings.late_days, now_us) for each in sorted(known, key=lambda each: each.epoch)]
    return [row | {"state": "lost", "due": None} if row["epoch"] in lost else row for row in rows]


def _row(each: KeyEpoch, late_days: int, now_us: int) -> dict[str, Any]:
    first = date(1970, 1, 1) + timedelta(days=each.epoch * EPOCH_DAYS)
    is_of_lists = each.epoch == LISTS_EPOCH
    due_us = None if is_of_lists or each.destroyed_us is not None else each.due_us(late_days)
    return {
        "epoch": each.epoch,
        "first_day": None if is_of_lists else first.isoformat(),
        "last_day": None if is_of_lists else (first + timedelta(days=EPOCH_DAYS - 1)).isoformat(),
        "made": _day(each.made_us),
        "destroyed": _day(each.destroyed_us),
        "due": _day(due_us),
        "state": "lists" if is_of_lists else _state(each, late_days, now_us),
    }


def _state(each: KeyEpoch, late_days: int, now_us: int) -> str:
    if each.destroyed_us is not None:
        return "destroyed"
    if now_us >= each.due_us(late_days):
        return "due"
    over = now_us // EPOCH_US - each.epoch
    return "in use" if over <= 0 else "overlap" if over == 1 else "late files"


def kept(settings: Settings) -> Iterator[tuple[str, str]]:
    """(what, how long)."""
    never = "for ever"
    yield "late files", f"{settings.late_days} days after their 60 (EARSHOT_LATE_DAYS), then refused"
    requests = f"{settings.keep_days} days" if settings.keep_days else never
    yield "key-level rows", f"{requests} (EARSHOT_KEEP_DAYS)"
    rejects = f"{settings.keep_rejects_days} days" if settings.keep_rejects_days else never
    yield "rejects", f"{rejects} (EARSHOT_KEEP_REJECTS_DAYS)"
    landing = f"{settings.keep_landing_days} days once taken in" if settings.keep_landing_days else None
    told = landing or "until you remove them: they name addresses"
    yield "landing files", f"{told} (EARSHOT_KEEP_LANDING_DAYS)"


def _day(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC).date().isoformat()
