"""The scripted world through the real poller: its changes are detected exactly, whatever is killed when."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from earshot.made_up.feeds.casting import KINDS
from earshot.made_up.feeds.record import Polls, change_files, changes_of, compared
from earshot.made_up.feeds.server import make_world, running
from earshot.made_up.feeds.world import FeedWorld
from tests.ingest.feeds.sweeping import TICK_US, register_all

DAY_US = 86_400 * 10**6


def play(spec: dict[str, object], data: Path, days: float, kills: int) -> FeedWorld:
    """The world through `days`, the poller killed `kills` times; then its changes against the truth."""
    data.mkdir()
    world = make_world(spec)
    register_all(world, data)
    polls = Polls(data / "lake")
    left = kills
    with running(spec, data, world.start_us) as server:
        until_us = world.start_us + round(days * DAY_US)
        command = [sys.executable, "-m", "tests.ingest.feeds.sweeping", json.dumps(spec, default=str)]
        command += [str(data), str(server.port), str(until_us)]
        ticks_between = max(1, int(days * DAY_US / TICK_US / (kills + 1)))
        is_over = False
        while not is_over:
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert worker.stdout is not None
            for told, _ in enumerate(worker.stdout, 1):
                worker.send_signal(signal.SIGSTOP)  # between two looks at the state it may not poll twice
                polls.collect(after_crash=True)
                if left and told >= ticks_between:
                    worker.kill()
                    left -= 1
                    break
                worker.send_signal(signal.SIGCONT)
            worker.stdout.close()
            code = worker.wait()
            polls.collect(after_crash=True)
            assert code in (0, -signal.SIGKILL)
            is_over = code == 0
    assert left == 0
    compare(world, data, polls)
    return world


def compare(world: FeedWorld, data: Path, polls: Polls) -> None:
    true, differences = compared(world, polls, changes_of(change_files(data / "lake")))
    assert true > 0
    assert not differences, [(world.podcasts[each.number].kind, each) for each in differences]


def test_every_change_of_a_day_is_told_once_and_no_other(tmp_path: Path) -> None:
    play({"script": {"seed": 3, "podcasts": len(KINDS), "days": 10}}, tmp_path / "data", 1, kills=0)
