"""`make soak`: every fault of the suite in random order with random seeds, for an hour; a table at the end.

Beside the named points it kills at any step on files, flush or commit that a scenario makes, at any moment,
and several times in a row. Ends with 1 where anything was lost, doubled or left lying about.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from ingest.compaction import compact
from ingest.lake import Lake
from ingest.repair import repair
from ingest.verify import verify
from tests.faults.forks import KILLED, run
from tests.faults.killing import ANY, Point
from tests.faults.lake_scenarios import AFTER, LATER_US, fill, lake_facts, settings_in, take
from tests.faults.points import DBT_POINTS, ON_DISK, POINTS
from tests.faults.scenario import Scenario
from tests.faults.spoiling import files, spoil
from tests.faults.test_dbt_kills import killed_one_after_the_other
from tests.faults.test_disk import full, read_only, slow
from tests.faults.undisturbed import Undisturbed, prepared

PAST_THE_LAST = 400  # steps: a scenario makes fewer
MOST_S = 1.5  # a scenario takes less, unless the machine is busy
DBT_EVERY = 80  # rounds: it takes as long as forty others
AWAY_EVERY = 60  # rounds: PostgreSQL is away for a minute each time


@dataclass
class Tally:
    """What came of one kind of fault."""

    rounds: int = 0
    reached: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Soak:
    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder, self.dice = folder, dice
        self.made: dict[str, Undisturbed] = {}
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.points: Counter[str] = Counter()
        self.rounds = 0

    def of(self, scenario: Scenario) -> Undisturbed:
        if scenario.name not in self.made:
            self.made[scenario.name] = prepared(scenario, self.folder / "undisturbed" / scenario.name)
        return self.made[scenario.name]

    def kill(self, scenario: Scenario, points: list[Point], room: Path) -> bool:
        """Killed at each of them, one after the other; whether the last one was reached."""
        was = self.of(scenario)
        shutil.copytree(was.start, room / "run", symlinks=True)
        data, killed = room / "run" / "data", 0
        with scenario.helpers(data) as told:
            for point in points:
                ended = run(scenario, data, told, point)
                assert ended.code in (0, KILLED), ended.said
                killed = ended.code
                if len(points) == 1 and killed:
                    scenario.check_killed(data, was.before, was.after)
                self.points[point.name] += killed == KILLED
            again = run(scenario, data, told)
            assert again.code == 0, again.said
        assert scenario.look(data) == was.after, "lost or doubled"
        assert scenario.leftovers(data) == [], "left lying about"
        return killed == KILLED

    def named(self, room: Path) -> bool:
        scenario = self.dice.choice(list(POINTS))
        return self.kill(scenario, [self.dice.choice(POINTS[scenario])], room)

    def anywhere(self, room: Path) -> bool:
        scenario = self.dice.choice(list(POINTS))
        return self.kill(scenario, [self.any_step()], room)

    def any_moment(self, room: Path) -> bool:
        """Also within what Polars, DuckDB and SQLite do, of which Python hears nothing."""
        scenario = self.dice.choice(list(POINTS))
        was = self.of(scenario)
        shutil.copytree(was.start, room / "run", symlinks=True)
        data = room / "run" / "data"
        with scenario.helpers(data) as told:
            killed = run(scenario, data, told, kill_after_s=self.dice.random() ** 2 * MOST_S)
            assert killed.code in (0, KILLED), killed.said
            again = run(scenario, data, told)
            assert again.code == 0, again.said
        assert scenario.look(data) == was.after, "lost or doubled"
        assert scenario.leftovers(data) == [], "left lying about"
        return killed.code == KILLED

    def in_a_row(self, room: Path) -> bool:
        scenario = self.dice.choice(list(POINTS))
        return self.kill(scenario, [self.any_step() for _ in range(self.dice.randint(2, 5))], room)

    def any_step(self) -> Point:
        return Point("any step", ANY, ANY, round(PAST_THE_LAST ** self.dice.random()))

    def full_disk(self, room: Path) -> bool:
        scenario = self.dice.choice(ON_DISK)
        return full(
            scenario, self.of(scenario), room / "disk", self.dice.choice([0, 4, 12, 24, 48, 96, 160, 400])
        )

    def read_only(self, room: Path) -> bool:
        scenario = self.dice.choice(ON_DISK)
        read_only(scenario, self.of(scenario), room)
        return True

    def slow_disk(self, room: Path) -> bool:
        scenario = self.dice.choice(ON_DISK)
        slow(scenario, self.of(scenario), room, most_s=self.dice.choice([0.05, 0.2]))
        return True

    def corruption(self, room: Path) -> bool:
        """Some files changed: all of them found, all of them mended."""
        data = room / "data"
        fill(settings_in(data))
        take(settings_in(data))
        if self.dice.random() < 0.5:
            compact(Lake(data / "lake"), AFTER)
        before = lake_facts(data)
        there = files(data, "requests", "rejects", "files")
        spoiled = self.dice.sample(there, self.dice.randint(1, len(there)))
        for path in spoiled:
            spoil(path, self.dice)
        found = verify(data / "lake")
        assert {data / "lake" / one.path for one in found.damaged} == set(spoiled), "not found"
        done = repair(settings_in(data), found, LATER_US + 1)
        assert not done.lost and lake_facts(data) == before and verify(data / "lake").is_whole
        return True

    def dbt(self, room: Path) -> bool:
        points = self.dice.sample(DBT_POINTS, self.dice.randint(2, len(DBT_POINTS)))
        killed_one_after_the_other(room, tuple(points), bounded=self.dice.random() < 0.8)
        self.points.update(point.name for point in points)
        return True

    def postgres_away(self, room: Path) -> bool:
        here = Path(__file__).parent / "test_postgres_away.py"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(here)]
        done = subprocess.run(
            command, env={**os.environ, "EARSHOT_TEST_AWAY_S": "60"}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return True

    def round(self) -> None:
        """One fault, chosen at random; each kind's turn comes."""
        self.rounds += 1
        kinds: list[Callable[[Path], bool]] = [
            *[self.named] * 6, *[self.anywhere] * 6, *[self.in_a_row] * 3, *[self.any_moment] * 4,
            self.full_disk, self.full_disk, self.read_only, self.slow_disk, self.corruption, self.corruption,
        ]  # fmt: skip
        kind = self.dice.choice(kinds)
        if self.rounds % DBT_EVERY == DBT_EVERY // 2:
            kind = self.dbt
        if self.rounds % AWAY_EVERY == AWAY_EVERY // 2:
            kind = self.postgres_away
        self.strike(kind.__name__, self.dice.getrandbits(32))

    def strike(self, kind: str, seed: int) -> None:
        """One fault; the same again with the same seed, but for moments."""
        work: Callable[[Path], bool] = getattr(self, kind)
        name, outer = kind.replace("_", " "), self.dice
        self.dice = random.Random(seed)
        tally, began = self.tallies[name], time.monotonic()
        room = Path(tempfile.mkdtemp(prefix="round-", dir=self.folder))
        tally.rounds += 1
        try:
            tally.reached += work(room)
        except pytest.skip.Exception as skipped:
            tally.lost += [] if "mounted" in str(skipped) or "PostgreSQL" in str(skipped) else [str(skipped)]
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            tally.lost.append(f"--kind {kind} --seed {seed}: {error!r}"[:500])
            traceback.print_exc()
            return  # its folder stays, to be looked at
        finally:
            tally.seconds += time.monotonic() - began
            self.dice = outer
        shutil.rmtree(room, ignore_errors=True)


def table(soak: Soak) -> Table:
    shown = Table("fault", "rounds", "struck", "lost", "seconds", title="Soak", title_justify="left")
    for name, tally in sorted(soak.tallies.items()):
        numbers = (tally.rounds, tally.reached, len(tally.lost), round(tally.seconds))
        shown.add_row(name, *(f"{number:,}" for number in numbers))
    return shown


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--kind", help="of a round that failed, to do it again")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if asked.seed is None else asked.seed
    screen, until = Console(), time.monotonic() + asked.minutes * 60
    with tempfile.TemporaryDirectory(prefix="earshot-soak-", ignore_cleanup_errors=True) as folder:
        soak = Soak(Path(folder), random.Random(seed))
        with contextlib.suppress(KeyboardInterrupt):
            if asked.kind:
                soak.rounds = 1
                soak.strike(asked.kind, seed)
            while not asked.kind and time.monotonic() < until:
                soak.round()
        screen.print(table(soak))
        every = {point.name for points in POINTS.values() for point in points} | {p.name for p in DBT_POINTS}
        never = sorted(every - set(soak.points))
        screen.print(f"seed {seed}; {len(every) - len(never)} of {len(every)} named points were struck")
        lost = [each for tally in soak.tallies.values() for each in tally.lost]
        for each in lost:
            screen.print(each, markup=False)
    return 1 if lost or not soak.rounds else 0


if __name__ == "__main__":
    raise SystemExit(main())
