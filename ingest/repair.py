"""Puts right what `verify` found: from the copy of the ledger, and from landing files that are still there.

What is damaged is moved to `<data>/damaged`, never removed. What can be made from nothing here is named, and
stays where it is: only a backup has it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from ingest.catalog import take_in_catalog
from ingest.durable import locked, sync
from ingest.lake import EMPTY, LEDGER_COPY, READERS_LOCK, Lake, write_parquet
from ingest.logs.found import LandingFile, find_landing_files
from ingest.logs.intake import take_in
from ingest.logs.listeners import KeyRing
from ingest.schema import FileStatus
from ingest.settings import Settings
from ingest.verify import Damage, Verified

ASIDE = "damaged"  # below the data folder
_OF_ONE = re.compile(r"(?P<source>[^.]+)\.(?P<file_id>[0-9a-f]{32})\.(?:[0-9]{4,}\.)?parquet")
_OF_MANY = re.compile(r"(?P<source>[^.]+)\.compacted\.[0-9a-f]{32}\.parquet")
_EPOCH_DAYS = 30
_FROM_BACKUP = (
    "only a backup has it: restore one beside (`earshot restore FROM --to ELSEWHERE --files-only`) and copy"
    " the file"
)
# Made anew by themselves, from what is elsewhere: by the next intake, or the next look at the registry.
_MADE_AGAIN = {
    "networks.parquet": "the next intake",
    "address_lists.parquet": "the next intake",
    "registry/podcasts.parquet": "the next look at the registry, within ten minutes",
    "registry/collaborations.parquet": "the next look at the registry, within ten minutes",
}

Key = tuple[str, str]  # source, file_id


@dataclass
class Repaired:
    """What was put right, and what was not; each a sentence that names its file."""

    mended: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def repair(settings: Settings, found: Verified, now_us: int) -> Repaired:
    """Mend what `found` names. Raises OSError; a rerun after another `verify` goes on."""
    lake = Lake(settings.lake_dir)
    done = _Repair(settings, lake, now_us)
    with locked(lake.intake_lock):
        for damage in found.damaged:
            done.ledger(damage, {one.path for one in found.damaged})
    with locked(lake.intake_lock):
        for damage in found.damaged:
            done.other(damage)
    again = {(gap.source, gap.file_id) for gap in found.gaps if gap.found < gap.wanted}
    done.again(again | done.affected)
    return done.repaired


class _Repair:
    def __init__(self, settings: Settings, lake: Lake, now_us: int) -> None:
        self.settings, self.lake, self.now_us = settings, lake, now_us
        self.repaired = Repaired()
        self.affected: set[Key] = set()

    def ledger(self, damage: Damage, damaged: Collection[Path]) -> None:
        """The ledger and its copy mend each other."""
        top, *rest = damage.path.parts
        if top not in ("files", LEDGER_COPY) or damage.path.name == EMPTY:
            return
        twin = Path(LEDGER_COPY if top == "files" else "files", *rest)
        if twin in damaged or not (self.lake.root / twin).exists():
            self.repaired.lost.append(f"{damage}; its copy is not there or damaged, too; {_FROM_BACKUP}")
            return
        rows = pl.read_parquet((self.lake.root / twin).read_bytes())
        self._set_aside(damage.path)
        write_parquet(rows, self.lake.root / damage.path)
        self.repaired.mended.append(f"{damage.path.as_posix()}: put back from {twin.as_posix()}")

    def other(self, damage: Damage) -> None:
        """All but the ledger: moved away where it can be made again."""
        path = damage.path
        name, top = path.as_posix(), path.parts[0]
        if path.name == EMPTY:
            self._set_aside(path)
            Lake(self.lake.root)
            self.repaired.mended.append(f"{name}: made again, it holds no row")
        elif top in ("requests", "rejects"):
            keys = self._keys_of(path)
            if not keys:
                self.repaired.lost.append(f"{damage}; the ledger knows no file of its name; {_FROM_BACKUP}")
                return
            self._set_aside(path)
            self.affected |= keys
        elif name in _MADE_AGAIN:
            self._set_aside(path)
            Lake(self.lake.root)
            self.repaired.mended.append(f"{name}: {_MADE_AGAIN[name]} makes it again")
        elif name == "catalog/episodes.parquet":
            self._catalogue(damage)
        elif top not in ("files", LEDGER_COPY):
            self.repaired.lost.append(f"{damage}; {_FROM_BACKUP}")

    def again(self, keys: Collection[Key]) -> None:
        """Landing files taken in once more, which writes the same rows to the same places."""
        landed = {(file.source, file.name): file for file in self._landing()}
        names = self._names()
        files: list[LandingFile] = []
        for source, file_id in sorted(keys):
            name, days, requests = names.get((source, file_id), ("", [], 0))
            file = landed.get((source, name))
            what = f"{source}/{name}: {requests:,} requests"
            if file is None or _content_id(file.path) != file_id:
                self.repaired.lost.append(
                    f"{what} are lost or in part: the landing file is not there any more; deliver it again "
                    "under its name and run this again, or copy the damaged file from a backup"
                )
            elif not self._has_keys(days):
                self.repaired.lost.append(
                    f"{what} are lost or in part: the listener keys of its time are destroyed"
                )
            else:
                files.append(file)
        if files:
            take_in(files, self.settings, self.lake, now_us=self.now_us, force=True)
            self.repaired.mended += [
                f"{file.source}/{file.name}: taken in again from {file.path}" for file in files
            ]

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

    def _names(self) -> dict[Key, tuple[str, list[date], int]]:
        columns = ("source", "file_id", "file_name", "days", "requests")
        return {row[:2]: row[2:] for row in self._taken().select(columns).iter_rows()}

    def _landing(self) -> list[LandingFile]:
        return find_landing_files(self.settings.model_copy(update={"settle_s": 0}))

    def _has_keys(self, days: Collection[date]) -> bool:
        keys = KeyRing(self.settings.keys_dir)
        epochs = {(day - date(1970, 1, 1)).days // _EPOCH_DAYS for day in days}
        return all(keys.has(epoch) for epoch in epochs)

    def _catalogue(self, damage: Damage) -> None:
        files = sorted((self.settings.landing_dir / "catalog").glob("*.csv"))
        if not files:
            self.repaired.lost.append(f"{damage}; deliver the CSV of episodes again to landing/catalog")
            return
        self._set_aside(damage.path)
        take_in_catalog(files, Lake(self.lake.root))
        self.repaired.mended.append(f"{damage.path.as_posix()}: made again from landing/catalog")

    def _set_aside(self, path: Path) -> None:
        target = self.settings.data / ASIDE / str(self.now_us) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.lake.root / READERS_LOCK):
            (self.lake.root / path).rename(target)
        sync((self.lake.root / path).parent)


def _content_id(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
