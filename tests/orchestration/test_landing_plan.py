"""Which landing files are asked for next."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from ingest.logs.intake import LandingFile, find_landing_files
from ingest.schema import FILES, conform
from ingest.settings import Settings
from ingest.sources import Sources
from orchestration.constants import LATER_ATTEMPTS_S, MAX_FILE_ATTEMPTS, MAX_FILES_PER_RUN, SWEEP_INTERVAL_S
from orchestration.sensors.landing import HashBudget, why_nothing
from orchestration.sensors.landing_plan import Cursor, Plan, batch_size, label, make_plan


@dataclass
class House:
    """A landing folder, a ledger and a sensor's memory."""

    settings: Settings
    ledger: list[dict[str, object]] = field(default_factory=list)
    cursor: Cursor = field(default_factory=Cursor)
    now: float = 1_000_000.0

    def land(self, name: str, text: str = "", source: str = "cdn") -> Path:
        path = self.settings.landing_dir / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or name)
        time.sleep(0.002)  # a change time of its own
        return path

    def files(self) -> list[LandingFile]:
        return find_landing_files(self.settings)

    def look(self, busy: Sequence[str] = (), later_s: float = 5) -> Plan:
        """One tick; the sensor remembers."""
        self.now += later_s
        plan = make_plan(
            self.files(),
            self.cursor,
            set(busy),
            lambda: conform(pl.DataFrame(self.ledger, schema=FILES), FILES).collect(),
            HashBudget(),
            self.now,
        )
        self.cursor = Cursor.model_validate_json(plan.cursor.model_dump_json())
        return plan

    def take(self, *names: str) -> None:
        """What an intake leaves in the ledger."""
        for file in self.files():
            if label(file) in names:
                self.ledger.append(
                    {
                        "source": file.source,
                        "file_name": file.name,
                        "file_id": HashBudget()(file),
                        "size_bytes": file.size_bytes,
                        "modified_ns": file.modified_ns,
                        "status": "taken",
                        "taken_in_us": time.time_ns() // 1000,
                    }
                )


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(Settings(data=tmp_path, settle_s=0))
    house.settings.landing_dir.mkdir()
    return house


def names(plan: Plan) -> list[list[str]]:
    return [batch.names for batch in plan.batches]


def test_an_empty_landing_folder_asks_for_nothing(house: House) -> None:
    plan = house.look()
    assert plan.batches == []
    assert why_nothing(plan, house.settings, Sources({})).startswith("no new log files in ")


def test_all_new_files_of_a_source_go_into_one_run(house: House) -> None:
    house.land("b.log")
    house.land("a.log")
    house.land("c.log", source="edge")
    assert names(house.look()) == [["cdn/b.log", "cdn/a.log"], ["edge/c.log"]]


def test_files_asked_for_are_not_asked_for_again_while_their_run_is_under_way(house: House) -> None:
    house.land("a.log")
    house.look()
    plan = house.look(busy=["cdn"])
    assert plan.batches == []
    assert why_nothing(plan, house.settings, Sources({})) == "1 file of cdn wait for its run to end"


def test_files_that_land_during_a_run_gather_for_the_next(house: House) -> None:
    house.land("a.log")
    house.look()
    house.land("b.log")
    house.land("c.log")
    assert house.look(busy=["cdn"]).batches == []
    house.take("cdn/a.log")
    assert names(house.look()) == [["cdn/b.log", "cdn/c.log"]]


def test_files_in_the_ledger_are_done(house: House) -> None:
    house.land("a.log")
    house.look()
    house.take("cdn/a.log")
    plan = house.look()
    assert plan.batches == []
    assert plan.cursor.asked == {}


def test_the_same_tick_twice_asks_with_the_same_key(house: House) -> None:
    house.land("a.log")
    before = house.cursor
    first = house.look()
    house.cursor = before
    assert house.look().batches[0].run_key == first.batches[0].run_key


def test_files_of_a_run_that_died_are_asked_for_again_under_another_key(house: House) -> None:
    house.land("a.log")
    first = house.look().batches[0]
    second = house.look().batches[0]
    assert second.names == first.names
    assert second.run_key == f"{first.run_key}:attempt-2"


def test_what_no_run_takes_in_is_named_and_asked_for_each_hour_under_a_key_of_its_own(house: House) -> None:
    house.land("a.log")
    keys = set()
    for attempt in range(MAX_FILE_ATTEMPTS):
        (batch,) = house.look(later_s=600).batches
        assert batch.attempt == attempt
        keys.add(batch.run_key)
    for attempt in (MAX_FILE_ATTEMPTS, MAX_FILE_ATTEMPTS + 1):
        plan = house.look(later_s=600)
        assert plan.batches == []
        said = why_nothing(plan, house.settings, Sources({}))
        assert "not taken in by 4 runs or more: cdn/a.log" in said and "take_in_now" in said
        (batch,) = house.look(later_s=LATER_ATTEMPTS_S).batches
        assert batch.attempt == attempt
        keys.add(batch.run_key)
    assert len(keys) == MAX_FILE_ATTEMPTS + 2, "Dagster makes one run a key"


def test_files_that_landed_while_nothing_could_be_taken_in_go_together_once_it_can(house: House) -> None:
    for number in range(40):
        house.land(f"{number:02}.log")
    while max((entry.attempts for entry in house.cursor.asked.values()), default=0) <= MAX_FILE_ATTEMPTS:
        house.look(later_s=61)  # all of these runs fail
    runs = []
    for _ in range(500):
        for batch in house.look(later_s=61).batches:
            runs.append(len(batch.names))
            house.take(*batch.names)
    assert sum(runs) == 40 and len(runs) <= 3, runs


def test_a_file_that_kills_each_run_keeps_the_others_out_no_longer_than_two_hours(house: House) -> None:
    for name in ("a.log", "deadly.log", "z.log"):
        house.land(name)
    for _ in range(200):
        house.look(later_s=61)  # over three hours in which nothing is taken in
    hours = 0.0
    while len(house.ledger) < 2 and hours < 10:
        for batch in house.look(later_s=61).batches:
            house.take(*itertools.takewhile(lambda name: name != "cdn/deadly.log", batch.names))
        hours += 61 / 3600
    assert {row["file_name"] for row in house.ledger} == {"a.log", "z.log"}
    assert hours < 2.1


def test_the_second_attempt_comes_at_once_and_further_ones_give_time_to_mend(house: House) -> None:
    house.land("a.log")
    house.look()
    assert len(house.look().batches) == 1
    plan = house.look()
    assert plan.batches == []
    assert why_nothing(plan, house.settings, Sources({})) == "1 file of cdn wait for another attempt"
    assert len(house.look(later_s=60).batches) == 1


def test_what_broke_a_run_goes_alone_and_the_others_of_that_run_first(house: House) -> None:
    for name in "abcd":
        house.land(name)
    house.look()
    house.take("cdn/a")  # b broke the run; c and d were not reached
    assert names(house.look()) == [["cdn/c", "cdn/d"]]
    house.take("cdn/c", "cdn/d")
    assert names(house.look()) == [["cdn/b"]]


def test_a_late_file_that_is_touched_gets_a_fresh_start(house: House) -> None:
    path = house.land("a.log")
    for _ in range(MAX_FILE_ATTEMPTS + 1):
        house.look(later_s=600)
    path.touch()
    assert house.look().batches[0].attempt == 0


def test_lost_files_go_in_ever_smaller_company_and_new_ones_go_first() -> None:
    assert [batch_size(attempt) for attempt in range(6)] == [500, 62, 7, 1, 500, 500]
    assert MAX_FILES_PER_RUN == 500


def test_a_file_that_kills_its_worker_does_not_keep_new_files_waiting(house: House) -> None:
    house.land("deadly.log")
    house.look()
    house.land("b.log")
    assert names(house.look()) == [["cdn/b.log"]]
    house.take("cdn/b.log")
    assert names(house.look()) == [["cdn/deadly.log"]]


def test_a_run_takes_a_bounded_number_of_files_and_the_rest_follow(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.sensors.landing_plan.MAX_FILES_PER_RUN", 2)
    for name in "abcde":
        house.land(name)
    taken = []
    while (plan := house.look()).batches:
        taken.append(plan.batches[0].names)
        house.take(*plan.batches[0].names)
    assert taken == [["cdn/a", "cdn/b"], ["cdn/c", "cdn/d"], ["cdn/e"]]


def test_a_lost_cursor_asks_for_nothing_that_the_ledger_knows(house: House) -> None:
    house.land("a.log")
    house.take("cdn/a.log")
    house.land("b.log")
    house.cursor = Cursor()
    assert names(house.look()) == [["cdn/b.log"]]


def test_a_file_moved_in_with_an_old_time_is_found(house: House) -> None:
    """`cp -p` and `mv` keep the modification time; the change time tells."""
    house.land("a.log")
    house.look()
    house.take("cdn/a.log")
    late = house.land("late.log")
    os.utime(late, (1, 1))
    assert names(house.look()) == [["cdn/late.log"]]


def test_a_replaced_file_is_asked_for_even_with_the_same_size_and_time(house: House) -> None:
    path = house.land("a.log", "one")
    house.look()
    house.take("cdn/a.log")
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(house.look()) == [["cdn/a.log"]]


def test_a_touched_file_with_the_same_content_is_not_asked_for(house: House) -> None:
    path = house.land("a.log")
    house.look()
    house.take("cdn/a.log")
    path.touch()
    assert house.look().batches == []
    assert house.look(later_s=SWEEP_INTERVAL_S).batches == []


def test_the_same_content_under_another_name_is_asked_for(house: House) -> None:
    first = house.land("a.log")
    asked = house.look().batches[0]
    house.take("cdn/a.log")
    shutil.copy(first, first.with_name("copy.log"))
    again = house.look().batches[0]
    assert again.names == ["cdn/copy.log"]
    assert again.run_key != asked.run_key


def test_a_file_lost_from_the_ledger_is_found_by_the_sweep(house: House) -> None:
    house.land("a.log")
    house.look()
    house.take("cdn/a.log")
    house.look()
    house.ledger.clear()
    assert house.look().batches == []
    assert names(house.look(later_s=SWEEP_INTERVAL_S)) == [["cdn/a.log"]]


def test_a_file_that_is_removed_is_forgotten(house: House) -> None:
    path = house.land("a.log")
    house.look()
    path.unlink()
    assert house.look().cursor.asked == {}


def test_hashing_stops_when_the_tick_is_used_up_and_goes_on_in_the_next(house: House) -> None:
    for name in "abc":
        house.land(name)
    only_one = make_plan(
        house.files(), Cursor(), set(), lambda: pl.DataFrame(schema=FILES), HashBudget(limit_bytes=1), 0.0
    )
    assert names(only_one) == [["cdn/a"]]
    house.cursor = only_one.cursor
    house.take("cdn/a")
    assert names(house.look()) == [["cdn/b", "cdn/c"]]
