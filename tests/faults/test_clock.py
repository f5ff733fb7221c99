"""The clock jumps a day ahead and back an hour: nothing is lost or told twice, nor waits for a day."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ingest.logs.found import find_landing_files
from orchestration.clock import has_passed
from tests.faults.forks import KILLED, run
from tests.faults.killing import Point
from tests.faults.points import POINTS
from tests.faults.scenario import Scenario
from tests.faults.test_kills import Undisturbed, undisturbed
from tests.ingest.samples import land, nginx, settings_of
from tests.orchestration.test_landing_plan import House

__all__ = ["undisturbed"]

DAY_S, HOUR_S = 86_400.0, 3600.0
JUMPS = {  # where it dies while the clock is ahead: how far it is ahead in the next run
    "intake.before_the_ledger": -HOUR_S,
    "feeds.before_hand_over": -HOUR_S,
    # Receivers refuse a signature that is an hour old: to send needs a right clock.
    "webhooks.begun_not_sent": 0.0,
}


def pair(name: str) -> tuple[Scenario, Point]:
    """A scenario, and where it dies while its clock is ahead."""
    for scenario, points in POINTS.items():
        for point in points:
            if point.name == name:
                return scenario, point
    raise KeyError(name)


@pytest.mark.parametrize("name", JUMPS)
def test_what_died_while_the_clock_was_a_day_ahead_is_done_at_once_when_it_is_set_back(
    name: str, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    scenario, point = pair(name)
    was = undisturbed[scenario.name]
    shutil.copytree(was.start, tmp_path / "run", symlinks=True)
    data = tmp_path / "run" / "data"
    with scenario.helpers(data) as told:
        killed = run(scenario, data, told, point, clock_s=DAY_S)
        assert killed.code == KILLED, killed.said
        again = run(scenario, data, told, clock_s=JUMPS[name])
        assert again.code == 0, again.said
    assert scenario.look(data) == was.after
    assert scenario.leftovers(data) == []


def test_files_that_landed_before_the_clock_was_set_back_are_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path).model_copy(update={"settle_s": 60})
    file = land(settings, nginx())
    assert find_landing_files(settings) == [], "it may still grow"
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() - round(HOUR_S * 1e9))
    assert [each.path for each in find_landing_files(settings)] == [file.path]
    monkeypatch.undo()
    tomorrow = time.time() + DAY_S  # by the clock of who sent it
    os.utime(file.path, (tomorrow, tomorrow))
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + round(120 * 1e9))
    assert [each.path for each in find_landing_files(settings)] == [file.path]


def test_a_sensor_that_looked_by_a_wrong_clock_asks_for_new_files_at_its_next_look(tmp_path: Path) -> None:
    house = House(settings_of(tmp_path))
    house.land("a.log")
    house.look(later_s=DAY_S)
    house.take("cdn/a.log")
    house.look()
    house.land("b.log")
    os.utime(house.settings.landing_dir / "cdn" / "b.log", (1, 1))
    house.cursor.passed = {
        source: (ahead[0] + round(DAY_S * 1e9), *ahead[1:]) for source, ahead in house.cursor.passed.items()
    }
    house.now -= DAY_S
    asked = [file.name for batch in house.look(later_s=5).batches for file in batch.files]
    assert asked == ["b.log"]


def test_an_interval_that_began_in_the_future_is_over() -> None:
    assert has_passed(60, since_s=1000, now_s=1060)
    assert not has_passed(60, since_s=1000, now_s=1059)
    assert has_passed(60, since_s=1000 + DAY_S, now_s=1000)
    assert not has_passed(60, since_s=1001, now_s=1000)
