"""Erasure: somebody's rows leave the lake for good, and their keys a list that keeps them out.

In this order, so that a killed erasure is finished by the next (`earshot privacy apply`):
the suppression list has the keys, so that from now on cleaning leaves them out; `lake/erasing-<id>.json`, a
note of each erasure, says which days and listeners are touched; every file that holds their rows is replaced
by one without; the ledger counts what is left. What is to be done then concerns the marts
(orchestration/erasing.py), and ends with the removal of the notes that were worked off, of no other.
"""

from __future__ import annotations

import functools
import hashlib
import json
import operator
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from ingest.compaction import expand
from ingest.durable import locked, sync, write_atomically
from ingest.lake import READERS_LOCK, Lake, LakeDamaged, write_parquet
from ingest.logs.keyring import EPOCH_DAYS
from ingest.settings import Settings
from ingest.suppression import SUPPRESSED, Suppressions
from ingest.whose import Whose, files_in, scans

NOTES = "erasing*.json"  # below the lake; without an id: of earlier versions
_DAY_0 = date(1970, 1, 1)
_LISTENER = {"key_epoch": pl.Int32, "listener_key": pl.Int64}


@dataclass
class Erasing:
    """Erasures under way: what the marts must still do, and what went."""

    erasures: list[str]
    days: list[str] = field(default_factory=list)  # event days to be counted anew
    listeners: list[tuple[int, int]] = field(default_factory=list)  # (key_epoch, listener_key) to forget
    requests: int = 0
    plays: int = 0  # of app_devices
    servings: int = 0  # of insertions
    files: int = 0  # landing files that had some of them
    restated_us: int = 0  # when the marts were told to count the days anew; 0: not yet
    notes: dict[str, str] = field(default_factory=dict)  # file name → SHA-256 of each note it was read of

    def to_json(self) -> bytes:
        return json.dumps({name: told for name, told in asdict(self).items() if name != "notes"}).encode()

    def __add__(self, other: Erasing) -> Erasing:
        """Both as one; the marts were told if they were told of both at once."""
        return Erasing(
            sorted({*self.erasures, *other.erasures}),
            sorted({*self.days, *other.days}),
            sorted({*self.listeners, *other.listeners}),
            self.requests + other.requests,
            self.plays + other.plays,
            self.servings + other.servings,
            self.files + other.files,
            self.restated_us if self.restated_us == other.restated_us else 0,
            self.notes | other.notes,
        )


def pending(settings: Settings) -> Erasing | None:
    """What was begun and is not finished. Raises LakeDamaged: a note of it cannot be read."""
    return _pending(settings.lake_dir)


def told_the_marts(lake: Lake, of: Erasing, now_us: int) -> None:
    """From now on a build counts the days anew. Raises OSError; a rerun completes it."""
    version = "erased"
    for day in of.days:
        path = lake.root / "restated" / f"day={day}.parquet"
        if path.exists():
            version = str(pl.read_parquet(path)["rules_version"][0])
        lake.record_restated(date.fromisoformat(day), version, now_us)
    of.restated_us = now_us
    for name in _unchanged(lake.root, of):
        note = _read(lake.root / name)
        note.restated_us = now_us
        of.notes[name] = _write(lake.root / name, note)


def erase(lake: Lake, of: Whose) -> Erasing:
    """Remove these rows from the lake, and keep them out. Raises OSError; `resume` completes it.

    Waits for an intake. What is erased already is erased again without harm.
    """
    with locked(lake.intake_lock):
        known, erasure = Suppressions.load(lake.root), secrets.token_hex(6)
        listed = known.with_more(_suppressed(of, erasure))
        return _carry_out(lake, listed, [erasure] if listed.rows.height > known.rows.height else [])


def resume(lake: Lake, more: Suppressions | None = None) -> Erasing | None:
    """Finish what was begun, and remove whatever the list names; None: there was nothing to do.

    more: another list to take up first, such as that of the installation a backup was made of.
    """
    with locked(lake.intake_lock):
        known = Suppressions.load(lake.root)
        listed = known.with_more(more.rows) if more else known
        was_pending = _pending(lake.root)
        done = _carry_out(lake, listed, sorted(set(listed.rows["erasure"]) - set(known.rows["erasure"])))
        is_new = listed.rows.height > known.rows.height
        return done if was_pending or is_new or done.requests or done.plays or done.servings else None


def finished(lake: Lake, of: Erasing) -> None:
    """The marts know no more of these either. A note that came, or was changed, meanwhile stays."""
    for name in _unchanged(lake.root, of):
        (lake.root / name).unlink()
    sync(lake.root)


def _pending(root: Path) -> Erasing | None:
    notes = [_read(path) for path in sorted(root.glob(NOTES))]
    return functools.reduce(operator.add, notes) if notes else None


def _read(path: Path) -> Erasing:
    data = path.read_bytes()
    try:
        told: dict[str, Any] = json.loads(data)
        told["listeners"] = [tuple(each) for each in told["listeners"]]
        return Erasing(**told, notes={path.name: hashlib.sha256(data).hexdigest()})
    except (ValueError, TypeError, KeyError) as error:
        raise LakeDamaged(
            f"{path} is damaged: what the marts must still forget of an erasure is not known. Remove it, run"
            " `earshot privacy apply`, then `EARSHOT_KEEP_VERSIONS=1 earshot rebuild`, which counts all anew"
            " without what was erased"
        ) from error


def _write(path: Path, note: Erasing) -> str:
    """Its SHA-256."""
    data = note.to_json()
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def _unchanged(root: Path, of: Erasing) -> list[str]:
    """The notes that are as they were read."""
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.glob(NOTES)}
    return [name for name, told in of.notes.items() if there.get(name) == told]


def _suppressed(of: Whose, erasure: str) -> pl.DataFrame:
    span = {"erasure": erasure, "first_us": of.span.first_us, "end_us": of.span.end_us}
    if of.install_key is not None:
        rows = pl.DataFrame([{**span, "install_key": of.install_key}])
    else:
        rows = of.keys.with_columns(pl.lit(value).alias(name) for name, value in span.items())
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in SUPPRESSED.items() if name not in rows.columns
    ]
    return rows.with_columns(missing)


def _carry_out(lake: Lake, listed: Suppressions, erasures: list[str]) -> Erasing:
    """For holders of `lake.intake_lock`."""
    former = _pending(lake.root)
    touched = _touched(lake, listed)
    note = Erasing(sorted(erasures), [day.isoformat() for day in touched.days], touched.listeners)
    name = f"erasing-{secrets.token_hex(6)}.json"
    is_new = bool(note.erasures or note.days)  # else what the marts were told still holds
    # First the list: whoever goes on after a kill finds by it what there is to do.
    if listed.rows.height:
        listed.write(lake.root)
    if is_new:
        note.notes = {name: _write(lake.root / name, note)}
    gone = _remove_requests(lake, listed, touched.erased_days)
    days = {*note.days, *(former.days if former else ())}
    _recount(lake, [date.fromisoformat(day) for day in sorted(days)])
    note.plays = _remove_rows(lake, listed, "app_devices")
    note.servings = _remove_rows(lake, listed, "insertions")
    note.requests, note.files = int(gone["erased"].sum()), gone.height
    if is_new:
        note.notes = {name: _write(lake.root / name, note)}
    elif former:
        note.restated_us = former.restated_us
    return former + note if former else note


@dataclass(frozen=True)
class _Touched:
    erased_days: list[date]  # with rows to erase
    days: list[date]  # those, and with rows of listeners whose chain of keys led through erased ones
    listeners: list[tuple[int, int]]


def _touched(lake: Lake, listed: Suppressions) -> _Touched:
    """Reads the requests of the days the list spans, then what hangs on erased keys in later epochs."""
    days = _days_of(lake, listed)
    erased = pl.concat(
        [
            pl.DataFrame(schema=_LISTENER | {"day": pl.Date}),
            *(_hits(scan, listed, ["key_epoch", "listener_key", "day"]) for scan in scans(lake, days)),
        ]
    ).unique()
    if erased.is_empty():
        return _Touched([], [], [])
    touched, chain = erased, erased.select("key_epoch", "listener_key").unique()
    links = chain
    for epoch in range(int(chain["key_epoch"].min()) + 1, _last_epoch(lake) + 1):  # type: ignore[arg-type]
        earlier = links.filter(pl.col("key_epoch") == epoch - 1)["listener_key"].implode()
        heirs = pl.concat(
            [
                pl.DataFrame(schema=_LISTENER | {"day": pl.Date}),
                *(
                    scan.filter(pl.col("key_epoch") == epoch, pl.col("listener_key_prev").is_in(earlier))
                    .select("key_epoch", "listener_key", day=_day())
                    .unique()
                    .collect()
                    for scan in scans(lake, _epoch_days(epoch))
                ),
            ]
        )
        touched = pl.concat([touched, heirs])
        links = pl.concat([links, heirs.select("key_epoch", "listener_key")]).unique()
    # All requests of these keys are counted anew, also those of days on which none was erased.
    more = [
        scan.join(links.lazy(), on=["key_epoch", "listener_key"], how="semi")
        .select(day=_day())
        .unique()
        .collect()
        for epoch in links["key_epoch"].unique()
        for scan in scans(lake, _epoch_days(epoch))
    ]
    days_again = pl.concat([touched.select("day"), *more])["day"].unique().sort().to_list()
    listeners = [(int(epoch), int(key)) for epoch, key in links.sort("key_epoch", "listener_key").iter_rows()]
    return _Touched(erased["day"].unique().sort().to_list(), days_again, listeners)


def _remove_requests(lake: Lake, listed: Suppressions, days: list[date]) -> pl.DataFrame:
    """Replace the files of these days by ones without the rows; source, file_id and how many each lost."""
    expand(lake, days)
    lost = pl.DataFrame(schema={"source": pl.String, "file_id": pl.String, "erased": pl.Int64})
    for day in days:
        for path in files_in(lake.day_folder(day)):
            rows = pl.read_parquet(path, hive_partitioning=False)
            is_erased = listed.is_suppressed(rows)
            if not is_erased.any():
                continue
            source, file_id, _ = path.name.split(".", 2)
            one = pl.DataFrame([(source, file_id, int(is_erased.sum()))], lost.schema, orient="row")
            lost = pl.concat([lost, one])
            _write_or_remove(lake, rows.filter(~is_erased), path)
    return lost.group_by("source", "file_id").agg(pl.col("erased").sum()).sort("source", "file_id")


def _write_or_remove(lake: Lake, rows: pl.DataFrame, path: Path) -> None:
    if rows.height:
        write_parquet(rows.rechunk(), path)
        return
    with locked(lake.root / READERS_LOCK):
        path.unlink()
        sync(path.parent)


def _recount(lake: Lake, days: Iterable[date]) -> None:
    """Ledger rows of files with event days among these: their requests as the lake has them now.

    All such files, so that those of a killed run are among them. Their days stay: a day that lost its last
    request must be counted anew, too.
    """
    wanted = pl.Series(sorted(days), dtype=pl.Date)
    ledger = lake.ledger()
    has_day = pl.col("days").list.eval(pl.element().is_in(wanted.implode())).list.any()
    rows = ledger.filter(has_day.fill_null(False), pl.col("requests") > 0)
    if rows.is_empty():
        return
    all_days = sorted(rows["days"].explode().drop_nulls().unique().to_list())
    counts = pl.concat(
        [
            pl.DataFrame(
                schema={
                    "source": pl.String,
                    "file_id": pl.String,
                    "n": pl.Int64,
                    "first": pl.Int64,
                    "last": pl.Int64,
                }
            ),
            *(
                scan.group_by("source", "file_id")
                .agg(
                    n=pl.len().cast(pl.Int64),
                    first=pl.col("started_us").min(),
                    last=pl.col("started_us").max(),
                )
                .collect()
                for scan in scans(lake, all_days)
            ),
        ]
    )
    now = counts.group_by("source", "file_id").agg(
        pl.col("n").sum(), pl.col("first").min(), pl.col("last").max()
    )
    known = rows.join(now, on=["source", "file_id"], how="left").with_columns(pl.col("n").fill_null(0))
    changed = known.filter(pl.col("n") < pl.col("requests"))
    # Of a file whose oldest days were removed for their age the lake has fewer requests than were taken in.
    first_kept = lake.first_kept_day()
    if first_kept is not None:
        first_us = (first_kept - _DAY_0).days * 86_400_000_000
        changed = changed.filter(pl.col("first_us") >= first_us)
    if changed.is_empty():
        return
    lake.record(
        changed.with_columns(
            lines=pl.col("lines") - (pl.col("requests") - pl.col("n")),
            requests=pl.col("n"),
            first_us=pl.col("first"),
            last_us=pl.col("last"),
        ).select(ledger.columns)
    )


def _remove_rows(lake: Lake, listed: Suppressions, table: str) -> int:
    gone = 0
    for path in (path for folder in sorted((lake.root / table).glob("day=*")) for path in files_in(folder)):
        rows = pl.read_parquet(path, hive_partitioning=False)
        is_erased = listed.is_suppressed(rows)
        if is_erased.any():
            gone += int(is_erased.sum())
            _write_or_remove(lake, rows.filter(~is_erased), path)
    return gone


def _hits(scan: pl.LazyFrame, listed: Suppressions, columns: list[str]) -> pl.DataFrame:
    keys = listed.rows["address_key"].drop_nulls().unique().implode()
    rows = (
        scan.filter(pl.col("address_key").is_in(keys))
        .select("key_epoch", "address_key", "listener_key", "started_us", day=_day())
        .collect()
    )
    return rows.filter(listed.is_suppressed(rows)).select(columns).unique()


def _days_of(lake: Lake, listed: Suppressions) -> list[date]:
    by_address = listed.rows.filter(pl.col("address_key").is_not_null())
    spans = by_address.select("first_us", "end_us").unique().iter_rows()
    wanted = [
        (
            _DAY_0 + timedelta(days=first // 86_400_000_000),
            _DAY_0 + timedelta(days=(end - 1) // 86_400_000_000),
        )
        for first, end in spans
    ]
    return [day for day in lake.event_days() if any(first <= day <= last for first, last in wanted)]


def _day() -> pl.Expr:
    return pl.from_epoch("started_us", time_unit="us").dt.date()


def _epoch_days(epoch: int) -> list[date]:
    return [_DAY_0 + timedelta(days=epoch * EPOCH_DAYS + day) for day in range(EPOCH_DAYS)]


def _last_epoch(lake: Lake) -> int:
    days = lake.event_days()
    return (days[-1] - _DAY_0).days // EPOCH_DAYS if days else -1
