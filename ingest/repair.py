"""Puts right what `verify` found: from the copy of the ledger, and from landing files that are still there.

What is damaged is kept in `<data>/damaged`, never removed. What can be made from nothing here is named, and
stays where it is: only a backup has it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from ingest.catalog import take_in_catalog
from ingest.checksums import must_be_there
from ingest.durable import locked
from ingest.judged import Key, versions_of
from ingest.lake import (
    EMPTY,
    GONE,
    Lake,
    is_kept_twice,
    keep_twice,
    twin_of,
    write_parquet,
)
from ingest.logs.found import LandingFile, find_landing_files
from ingest.logs.intake import MARKS, take_in
from ingest.logs.keyring import KeyRing, key_epochs
from ingest.logs.ranges import ReferenceListError
from ingest.logs.rules import Rules
from ingest.schema import KEPT, FileStatus
from ingest.set_aside import FOLDER, keep_aside, set_aside
from ingest.settings import Settings
from ingest.verify import Damage, Verified, unreadable

ASIDE = FOLDER
_OF_ONE = re.compile(r"(?P<source>[^.]+)\.(?P<file_id>[0-9a-f]{32})\.(?:[0-9]{4,}\.)?parquet")
_OF_MANY = re.compile(r"(?P<source>[^.]+)\.compacted\.[0-9a-f]{32}\.parquet")
_FROM_BACKUP = (
    "only a backup has it: restore one beside (`earshot restore FROM --to ELSEWHERE --files-only`), copy"
    " the file into its place, and run `earshot verify --accept FILE`"
)
# Made anew by themselves, from what is elsewhere: by the next intake, or the next look at the registry.
_MADE_AGAIN = {
    "networks.parquet": "the next intake",
    "address_lists.parquet": "the next intake",
    "registry/podcasts.parquet": "the next look at the registry, within ten minutes",
    "registry/collaborations.parquet": "the next look at the registry, within ten minutes",
}


@dataclass(frozen=True)
class _Known:
    """A landing file in the ledger."""

    name: str
    days: list[date]
    requests: int
    status: str


@dataclass
class Repaired:
    """What was put right, and what was not; each a sentence that names its file."""

    mended: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    otherwise: list[str] = field(
        default_factory=list
    )  # mended, but perhaps judged by other lists than before


def repair(settings: Settings, found: Verified, now_us: int) -> Repaired:
    """Mend what `found` names. Raises OSError; a rerun after another `verify` goes on."""
    lake = Lake(settings.lake_dir)
    done = _Repair(settings, lake, now_us, [one.path for one in found.damaged])
    with locked(lake.intake_lock), locked(lake.ledger_lock):
        for damage in found.damaged:
            done.ledger(damage, {one.path for one in found.damaged})
    if done.repaired.lost:  # without the whole ledger nobody knows what else should be there
        return done.repaired
    with locked(lake.intake_lock):
        for damage in found.damaged:
            done.other(damage)
    again = {(gap.source, gap.file_id) for gap in found.gaps if gap.found < gap.wanted}
    done.again(again)
    return done.repaired


def forget_marks(lake: Lake, before_s: float) -> None:
    """Marks that killed repairs left of files they were taking in again, which bar merging; of a whole lake.

    before_s: when the look began that found it whole, epoch seconds; of later marks it tells nothing.
    """
    listed = {f"{source}.{file_id}" for source, file_id in lake.ledger().select("source", "file_id").rows()}
    with locked(lake.intake_lock):
        for mark in (lake.root / MARKS).glob("*"):
            if mark.name in listed and mark.stat().st_mtime < before_s:
                mark.unlink()


class _Repair:
    def __init__(self, settings: Settings, lake: Lake, now_us: int, damaged: Collection[Path]) -> None:
        self.settings, self.lake, self.now_us, self.damaged = settings, lake, now_us, damaged
        self.repaired = Repaired()
        self.keys = KeyRing.of(settings)
        self.rows_of: dict[Path, set[Key]] = {}  # damaged files of rows: of which landing files they are

    def ledger(self, damage: Damage, damaged: Collection[Path]) -> None:
        """The ledger and its copy mend each other."""
        if damage.path.name == EMPTY or not is_kept_twice(damage.path):
            return
        twin = twin_of(damage.path)
        if twin in damaged or not (self.lake.root / twin).exists():
            self.repaired.lost.append(f"{damage}; its copy is not there or damaged, too; {_FROM_BACKUP}")
            return
        keep_aside(self.settings, damage.path, self.now_us)
        keep_twice(self.lake.root / twin, self.lake.root / damage.path)
        self.repaired.mended.append(f"{damage.path.as_posix()}: put back from {twin.as_posix()}")

    def other(self, damage: Damage) -> None:
        """All but the ledger: moved away where it can be made again."""
        path = damage.path
        name, top = path.as_posix(), path.parts[0]
        if path.name == EMPTY:
            set_aside(self.settings, path, self.now_us)
            Lake(self.lake.root)
            self.repaired.mended.append(f"{name}: made again, it holds no row")
        elif top in ("requests", "rejects"):
            keys = self._keys_of(path)
            if not keys:
                self.repaired.lost.append(f"{damage}; the ledger knows no file of its name; {_FROM_BACKUP}")
                return
            self.rows_of[path] = keys
        elif name in _MADE_AGAIN:
            set_aside(self.settings, path, self.now_us)
            Lake(self.lake.root)
            self.repaired.mended.append(f"{name}: {_MADE_AGAIN[name]} makes it again")
        elif name == "catalog/episodes.parquet":
            self._catalogue(damage)
        elif name == "kept.parquet":
            self._kept(damage)
        elif top == "rules" and damage.reason == GONE and Rules.load(self.settings).version == path.stem:
            Rules.load(self.settings).remember(self.settings, self.lake)
            self.repaired.mended.append(f"{name}: made again of the lists in force")
        elif not is_kept_twice(path):
            self.repaired.lost.append(f"{damage}; {_FROM_BACKUP}")

    def again(self, keys: Collection[Key]) -> None:
        """Landing files taken in once more, which writes the same rows to the same places.

        Those of `keys`, and of damaged files all whose rows can be made again; the others stay as they are.
        """
        wanted = sorted({*keys, *(key for its in self.rows_of.values() for key in its)})
        names = self._names()
        landed = {(file.source, file.name): file for file in self._landing()}
        whys = {key: self._why_not(key, names.get(key), landed) for key in wanted}
        cannot = {key for key, why in whys.items() if why}
        self.repaired.lost += [why for why in whys.values() if why]
        # A day's files are opened together: what shares a file with lost rows waits for them.
        staying = dict[Path, set[Key]]()
        while more := {
            path: its for path, its in self.rows_of.items() if its & cannot and path not in staying
        }:
            staying |= more
            cannot |= {key for its in more.values() for key in its}
        self.repaired.lost += [
            f"{path.as_posix()}: stays where it is, since not all its rows can be made again"
            for path in staying
        ]
        for path in self.rows_of.keys() - staying.keys():
            # Intake replaces the file of one landing file; a merged one would be in its way.
            if _OF_MANY.fullmatch(path.name):
                set_aside(self.settings, path, self.now_us)
            else:
                keep_aside(self.settings, path, self.now_us)
        again = {key: landed[key[0], names[key].name] for key in wanted if key not in cannot}
        if again:
            self._take_in(again, names)

    def _take_in(self, again: Mapping[Key, LandingFile], names: Mapping[Key, _Known]) -> None:
        """By the lists that judged them before, as far as that can be told, so that figures stay."""
        versions = versions_of(self.lake, again, self.damaged)
        recorded: dict[Key, tuple[str, str | None]] = {}
        for version in sorted({versions.get(key, "") for key in again}):
            files = {key: file for key, file in again.items() if versions.get(key, "") == version}
            rules = self._rules(version)
            if rules is None:
                its = {
                    key: file for key, file in files.items() if names[key].status == FileStatus.TAKEN.value
                }
                self.repaired.otherwise += [_otherwise(file, names[key].days) for key, file in its.items()]
            done = take_in(
                list(files.values()), self.settings, self.lake, now_us=self.now_us, force=True, rules=rules
            )
            columns = ("source", "file_id", "status", "reason")
            recorded |= {row[:2]: row[2:] for row in done.files.select(columns).iter_rows()}
        Rules.load(self.settings).write_address_lists(self.lake, self.keys)  # those in force, for the marts
        for key, file in again.items():
            what = f"{file.source}/{file.name}"
            status, reason = recorded.get(key, (None, None))
            if status is None:
                self.repaired.lost.append(f"{what}: was not taken in again; run this once more")
            elif status != names[key].status:
                told = f"was {names[key].status}, and now is {status}: {reason}"
                self.repaired.lost.append(
                    f"{what}: {told}; set right what that names, and run this once more"
                )
            else:
                self.repaired.mended.append(f"{what}: taken in again from {file.path}")

    def _rules(self, version: str) -> Rules | None:
        """Those of a version, exactly; None: they are not kept, or cannot be told."""
        if (in_force := Rules.load(self.settings)).version == version:
            return in_force
        if not version or unreadable(self.lake.root / "rules" / f"{version}.parquet"):
            return None
        try:
            rules = Rules.load(self.settings, version)
        except ReferenceListError:
            return None
        return rules if rules.version == version else None

    def _why_not(
        self,
        key: Key,
        known: _Known | None,
        landed: Mapping[Key, LandingFile],
    ) -> str | None:
        """Why the rows of a landing file cannot be made again; None: they can. Raises KeyRingError."""
        if known is None:
            return f"{key[0]}: the ledger knows no file with content {key[1]}; {_FROM_BACKUP}"
        name, days, requests = known.name, known.days, known.requests
        file, what = landed.get((key[0], name)), f"{key[0]}/{name}: {requests:,} requests"
        if file is None or _content_id(file.path) != key[1]:
            return (
                f"{what} are lost or in part: the landing file is not there any more; deliver it again "
                "under its name and run this again, or copy the damaged file from a backup"
            )
        if not all(self.keys.has(epoch) for epoch in key_epochs(days)):
            return (
                f"{what} are lost or in part: the listener keys of its time, or of the 30 days before, are "
                f"destroyed; {_FROM_BACKUP}"
            )
        return None

    def _keys_of(self, path: Path) -> set[Key]:
        """The landing files whose rows may have been in it."""
        if one := _OF_ONE.fullmatch(path.name):
            return {(one["source"], one["file_id"])}
        many = _OF_MANY.fullmatch(path.name)
        if many is None:
            return set()
        day = date.fromisoformat(path.parent.name.removeprefix("day="))
        of_day = self._taken().filter(
            (pl.col("source") == many["source"]) & pl.col("days").list.contains(day)
        )
        return set(of_day.select("source", "file_id").iter_rows())

    def _taken(self) -> pl.DataFrame:
        return self.lake.ledger().filter(pl.col("status") != FileStatus.DUPLICATE.value)

    def _names(self) -> dict[Key, _Known]:
        columns = ("source", "file_id", "file_name", "days", "requests", "status")
        return {row[:2]: _Known(*row[2:]) for row in self._taken().select(columns).iter_rows()}

    def _landing(self) -> list[LandingFile]:
        return find_landing_files(self.settings.model_copy(update={"settle_s": 0}))

    def _catalogue(self, damage: Damage) -> None:
        files = sorted((self.settings.landing_dir / "catalog").glob("*.csv"))
        if not files:
            self.repaired.lost.append(f"{damage}; deliver the CSV of episodes again to landing/catalog")
            return
        keep_aside(self.settings, damage.path, self.now_us)
        take_in_catalog(files, Lake(self.lake.root))
        self.repaired.mended.append(f"{damage.path.as_posix()}: made again from landing/catalog")

    def _kept(self, damage: Damage) -> None:
        """Of days before the first that has requests nobody knows more than that they are not there."""
        days = self.lake.event_days()
        keep_aside(self.settings, damage.path, self.now_us)
        # Where none ever were removed, later logs of earlier days are to be taken in.
        had_rows = damage.path in must_be_there(self.lake.root) or self._lacks_days_before(days[:1])
        rows = [(days[0], self.now_us)] if days and had_rows else []
        write_parquet(pl.DataFrame(rows, KEPT, orient="row"), self.lake.kept_path)
        self.repaired.mended.append(f"{damage.path.as_posix()}: made again from the days of the requests")

    def _lacks_days_before(self, first: list[date]) -> bool:
        """Does the ledger tell of requests of earlier days, as after their removal it does?"""
        if not first:
            return False
        told = pl.from_epoch("first_us", time_unit="us").dt.date()
        return self._taken().filter(pl.col("requests") > 0, told < first[0]).height > 0


def _otherwise(file: LandingFile, days: Collection[date]) -> str:
    span = f"--from {min(days)} --to {max(days)}" if days else "--from DAY --to DAY"
    return (
        f"{file.source}/{file.name}: judged by the lists in force, since those of before are not kept or not "
        f"to be told: `earshot restate {span}` judges its days alike and has them counted anew"
    )


def _content_id(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
