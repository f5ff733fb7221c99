"""Rotation loses no line and shows none twice: under load, through reloads, when it is killed anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from earshot.made_up import edge as edges
from earshot.made_up.edge import Edge
from ingest.settings import Settings
from serving.edge import rotate as rotating
from serving.edge.holders import holders
from serving.edge.rotate import closed_logs, rotate
from serving.edge.server import EdgeError
from serving.edge.settings import EdgeSettings
from tests.serving.edge.asking import ask
from tests.serving.edge.load import under_load

REQUESTS = 20_000
ROTATIONS = 10
TARGET = "/e/media.example.com/a.mp3?n={}"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with edges.running(Settings(data=tmp_path), "media.example.com", rate=0, workers=2) as running:
        yield running


def landed(settings: EdgeSettings) -> Counter[int]:
    """How often each number stands in the landing folder; a torn line would not parse."""
    lines = [line for path in sorted(settings.landing.iterdir()) for line in path.read_bytes().splitlines()]
    return Counter(int(orjson.loads(line)["uri"].partition("n=")[2]) for line in lines)


def test_every_line_arrives_once_under_load_with_rotations_and_a_reload(edge: Edge) -> None:
    published: list[Path] = []
    with under_load(edge.port, REQUESTS) as load:
        for number in range(ROTATIONS):
            aim = REQUESTS * (number + 1) // (ROTATIONS + 2)
            while len(load.answered) < aim:
                time.sleep(0.005)
            if number == ROTATIONS // 2:
                assert edge.put("media.example.com", "cdn.example.org")
            done = rotate(edge.settings)
            assert done.held == ()
            published += done.published
    published += rotate(edge.settings).published
    found = landed(edge.settings)
    assert load.faults == []
    assert len(load.answered) > 0.99 * REQUESTS
    assert load.answered <= found.keys()
    assert set(found.values()) == {1}
    assert len(published) == len(set(published)) == ROTATIONS + 1
    assert [path.name for path in published] == sorted(path.name for path in published)
    assert ask(edge.port, "/e/cdn.example.org/x").status == 302


def test_a_file_is_published_only_when_no_worker_writes_to_it(edge: Edge) -> None:
    """A worker that is stopped (here: by a signal) cannot reopen its log, and goes on writing later."""
    assert ask(edge.port, TARGET.format(0)).status == 302
    workers = _children(edge.process.pid)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        impatient = edge.settings.model_copy(update={"patience_s": 0.3})
        done = rotate(impatient)
        assert done.published == ()
        assert len(done.held) == 1
        assert set(holders(done.held[0]).pids) >= set(workers)
        assert list(edge.settings.landing.iterdir()) == []
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    assert ask(edge.port, TARGET.format(1)).status == 302
    assert [path.name for path in rotate(edge.settings).published][:1] == [done.held[0].name]
    rotate(edge.settings)
    assert landed(edge.settings) == {0: 1, 1: 1}


def test_a_writer_outside_our_sight_is_noticed(tmp_path: Path) -> None:
    """As nginx in another container would be: /proc shows no process of nginx's that has the file."""
    path = tmp_path / "log.json"
    with path.open("w"):
        assert (holders(path).pids, holders(path).is_held) == ((), True)
    assert not holders(path).is_held


def test_a_master_that_was_killed_leaves_workers_that_are_told_all_the_same(edge: Edge) -> None:
    ask(edge.port, TARGET.format(0))
    workers = _children(edge.process.pid)
    edge.process.kill()
    edge.process.wait()
    try:
        assert ask(edge.port, TARGET.format(1)).status == 302  # they still answer
        assert len(rotate(edge.settings).published) == 1
        assert ask(edge.port, TARGET.format(2)).status == 302
        assert len(rotate(edge.settings).published) == 1
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
    assert landed(edge.settings) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("nth", range(1, 9))
def test_what_a_killed_rotation_left_is_published_by_the_next(edge: Edge, nth: int) -> None:
    """Killed before its nth step on files: each rename, flush, look, signal and change of mode."""
    with under_load(edge.port, 600, clients=2) as load:
        while len(load.answered) < 100:
            time.sleep(0.002)
        code = (
            "import os, signal, sys, pathlib\n"
            "from serving.edge import rotate, holders, server\n"
            "from serving.edge.settings import EdgeSettings\n"
            "seen = 0\n"
            "def dying(real):\n"
            "    def step(*given, **named):\n"
            "        global seen\n"
            "        seen += 1\n"
            f"        if seen == {nth}: os.kill(os.getpid(), signal.SIGKILL)\n"
            "        return real(*given, **named)\n"
            "    return step\n"
            "for name in ('sync', 'holders', 'tell'): setattr(rotate, name, dying(getattr(rotate, name)))\n"
            "for name in ('rename', 'chmod'):\n"
            "    setattr(pathlib.Path, name, dying(getattr(pathlib.Path, name)))\n"
            "rotate.prepare = lambda settings: None\n"
            "rotate.rotate(EdgeSettings.model_validate_json(sys.stdin.read()))\n"
        )
        killed = subprocess.run(
            [sys.executable, "-c", code], input=edge.settings.model_dump_json(), text=True, timeout=60
        )
        assert killed.returncode == -signal.SIGKILL
        rotate(edge.settings)
    rotate(edge.settings)
    found = landed(edge.settings)
    assert load.answered <= found.keys()
    assert set(found.values()) == {1}
    assert closed_logs(edge.settings) == []


def test_without_nginx_what_it_left_is_published(edge: Edge) -> None:
    ask(edge.port, TARGET.format(7))
    edges.stop(edge.process)
    assert len(rotate(edge.settings).published) == 1
    assert landed(edge.settings) == {7: 1}


def test_a_log_without_lines_makes_no_file(edge: Edge) -> None:
    for target in ("/health", "/robots.txt", "/", "/favicon.ico"):
        ask(edge.port, target)
    assert rotate(edge.settings) == rotating.Rotation((), ())
    assert list(edge.settings.landing.iterdir()) == []


def test_only_the_group_may_read_what_names_addresses(edge: Edge) -> None:
    ask(edge.port, TARGET.format(1))
    (published,) = rotate(edge.settings).published
    assert published.stat().st_mode & 0o777 == 0o640
    assert edge.settings.log.parent.stat().st_mode & 0o777 == 0o750


def test_a_clock_that_was_set_back_overwrites_nothing(edge: Edge) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    ask(edge.port, TARGET.format(1))
    rotate(edge.settings, lambda: now)
    ask(edge.port, TARGET.format(2))
    with pytest.raises(EdgeError, match="set back"):
        rotate(edge.settings, lambda: now)
    rotate(edge.settings, lambda: now + timedelta(microseconds=1))
    assert landed(edge.settings) == {1: 1, 2: 1}


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
