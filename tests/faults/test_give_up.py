"""What nobody has any more: given up by a command, and all else goes on as it was."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from earshot.pipeline import build_marts
from ingest.compaction import compact
from ingest.erasing import NOTES
from ingest.give_up import give_up
from ingest.lake import LEDGER_COPY, Lake, LakeDamaged
from ingest.repair import ASIDE, Repaired, repair
from ingest.settings import Settings
from ingest.suppression import SUPPRESSED, Suppressions
from ingest.verify import verify
from tests.faults.lake_scenarios import AFTER, LATER_US, lake_facts, settings_in, take
from tests.faults.spoiling import data, files, original, spoil
from tests.registry.command_line import Earshot, typed

__all__ = ["data", "original", "typed"]


def given_up(settings: Settings) -> Repaired:
    """As the command does it: mended first."""
    repair(settings, verify(settings.lake_dir), LATER_US + 1)
    return give_up(settings, verify(settings.lake_dir), LATER_US + 1)


@pytest.mark.parametrize("is_merged", [False, True], ids=["single", "merged"])
def test_lost_rows_are_told_in_the_ledger_and_those_beside_them_are_made_again(
    data: Path, is_merged: bool
) -> None:
    settings, before = settings_in(data), lake_facts(data)
    if is_merged:
        compact(Lake(settings.lake_dir), AFTER)
    for path in files(data, "requests"):
        spoil(path, random.Random(5))
    (settings.landing_dir / "cdn" / "b.log").unlink()
    done = given_up(settings)
    assert any("cdn/b.log: 12 of 12 requests lost" in one for one in done.lost)
    assert verify(settings.lake_dir).is_whole
    (row,) = Lake(settings.lake_dir).ledger().filter(file_name="b.log", source="cdn").iter_rows(named=True)
    assert (row["requests"], row["lines"]) == (0, 0) and "12 requests damaged" in row["reason"]
    left = [each for each in before["requests"] if row["file_id"] not in each]  # type: ignore[attr-defined]
    assert lake_facts(data)["requests"] == left
    build_marts(settings)


def test_without_the_ledger_landing_files_are_taken_in_again_and_no_row_is_doubled(data: Path) -> None:
    settings, before = settings_in(data), lake_facts(data)

    def told() -> list[tuple[object, ...]]:
        return sorted(Lake(settings.lake_dir).ledger().select("file_id", "status", "requests").rows())

    ledger = told()
    compact(Lake(settings.lake_dir), AFTER)
    for path in files(data, "files"):
        path.unlink()
        spoil(data / "lake" / LEDGER_COPY / path.parent.name / path.name, random.Random(2))
    with pytest.raises(LakeDamaged):
        take(settings)
    done = given_up(settings)
    assert done.lost and all("the next intake takes in what is still in landing" in one for one in done.lost)
    assert verify(settings.lake_dir).is_whole
    take(settings)
    # Which of two files of the same content came first was known to the ledger alone.
    assert lake_facts(data)["requests"] == before["requests"]
    assert told() == ledger
    assert verify(settings.lake_dir).is_whole


def test_of_the_erased_nothing_is_taken_in_before_it_is_said_that_they_come_back(data: Path) -> None:
    settings = settings_in(data)
    listed = Suppressions(
        pl.DataFrame([("e" * 12, 5, 7, None, 0, LATER_US)], schema=SUPPRESSED, orient="row")
    )
    listed.write(settings.lake_dir)
    for path in files(data, "requests"):
        path.unlink()
    for name in ("suppressed.parquet", f"{LEDGER_COPY}/suppressed.parquet"):
        spoil(data / "lake" / name, random.Random(4))
    done = give_up(settings, verify(settings.lake_dir), LATER_US)
    assert not done.mended and all("erase again whom you erased" in one for one in done.lost)
    assert files(data, "requests") == []
    assert Suppressions.load(settings.lake_dir).rows.is_empty()


def test_the_command_goes_on_without_it_and_leaves_what_was_damaged_aside(data: Path, typed: Earshot) -> None:
    (rules,) = files(data, "rules")
    spoil(rules, random.Random(3))
    changed = rules.read_bytes()
    said = typed("verify", "--repair")
    assert said.code == 1 and "`earshot verify --give-up` goes on" in said.err
    said = typed("verify", "--give-up")
    assert said.code == 0 and "given up" in said.err, said.err
    assert typed("verify").code == 0
    (aside,) = (data / ASIDE).rglob(rules.name)
    assert aside.read_bytes() == changed


def test_rows_that_an_unfinished_erasure_took_are_not_given_up(data: Path, typed: Earshot) -> None:
    files(data, "requests")[0].unlink()
    note = data / "lake" / NOTES.replace("*", "e" * 12)
    note.write_text("{}")
    ledger = Lake(data / "lake").ledger().rows()
    said = typed("verify", "--give-up")
    assert said.code == 1 and "run `earshot privacy apply` first" in said.err.replace("\n", " ")
    assert Lake(data / "lake").ledger().rows() == ledger
