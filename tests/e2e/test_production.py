"""Production in small: `earshot run` on a PostgreSQL that crashes, with a daemon that is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from earshot.made_up import world as worlds
from ingest.lake import Lake
from tests.postgres import NoPostgres
from tests.restartable_postgres import PASSWORD, RestartablePostgres, restartable_postgres

SPEC = worlds.WorldSpec(lines=3000, shows=8, days=2)
PATIENCE_S = 300  # without the thing that is waited for; all of it takes about a minute


@pytest.fixture(scope="module")
def server() -> Iterator[RestartablePostgres]:
    try:
        with restartable_postgres() as found:
            found.execute("create database production template template0")
            yield found
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


class Production:
    """A running `earshot run`, started from the file of settings that `earshot init` wrote."""

    def __init__(self, data: Path, url: str) -> None:
        self.data, self.log = data, data.parent / "run.log"
        clean = {name: each for name, each in os.environ.items() if not name.startswith(("EARSHOT_", "PG"))}
        done = subprocess.run(
            [sys.executable, "-m", "earshot.cli", "init", "--postgres", url],
            env={**clean, "EARSHOT_DATA": str(data), "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = (
            f"set -a; . '{data}/earshot.env'; exec '{sys.executable}' -m earshot.cli run --port {self.port}"
        )
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", command], env=clean, stdout=output, stderr=subprocess.STDOUT
            )

    def child(self, name: str) -> psutil.Process | None:
        """The process of that name, as `ps` shows it."""
        for each in psutil.Process(self.process.pid).children():
            if each.name() == name and each.status() != psutil.STATUS_ZOMBIE:
                return each
        return None

    def ask(self, query: str) -> Any:
        """None while the webserver does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["data"]
        except (OSError, urllib.error.URLError):
            return None

    def taken_in(self) -> int:
        ledger = self.data / "lake"
        return Lake(ledger).ledger().height if ledger.exists() else 0

    def downloads(self) -> dict[tuple[str, str], int]:
        """(source class, episode) -> downloads, as published."""
        current = self.data / "published" / "current" / "marts.duckdb"
        if not current.exists():
            return {}
        with duckdb.connect(os.path.realpath(current), read_only=True) as con:
            rows = con.execute(
                "select source_class, episode_id, cast(sum(downloads) as bigint) from fct_downloads"
                " group by all having sum(downloads) > 0"
            ).fetchall()
        return {(source_class, episode): number for source_class, episode, number in rows}

    def wait_for(self, what: Callable[[], bool], told: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert self.process.poll() is None, f"it ended: {self.log.read_text()[-5000:]}"
            assert time.monotonic() < end, f"{told}: {self.log.read_text()[-5000:]}"
            time.sleep(0.2)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def production(server: RestartablePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    data = tmp_path_factory.mktemp("production") / "data"
    running = Production(data, server.url("production", password=None))
    try:
        yield running
    finally:
        running.end()


def lay_out(world: worlds.World, data: Path, later: Path) -> list[Path]:
    """Half of the world's files in the landing folder, the other half beside it; returns those of later."""
    worlds.write_catalog(world, data / "landing" / "catalog" / "episodes.csv")
    files = sorted(path for path in worlds.write(world, later))
    now, held_back = files[::2], files[1::2]
    for path in now:
        move(path, later, data / "landing")
    return held_back


def move(path: Path, from_folder: Path, to_folder: Path) -> None:
    target = to_folder / path.relative_to(from_folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def test_the_marts_are_right_though_the_database_restarts_and_the_daemon_is_killed(
    server: RestartablePostgres, production: Production, tmp_path: Path
) -> None:
    world = worlds.build(SPEC)
    later = production.data.parent / "later"
    held_back = lay_out(world, production.data, later)
    production.wait_for(lambda: production.taken_in() > 0, "nothing is taken in")

    # A crash of the server, with runs on their way: whatever writes then waits for it.
    server.stop("QUIT")
    for path in held_back[::2]:
        move(path, later, production.data / "landing")
    first = production.child("daemon")
    assert first is not None
    server.start()
    production.wait_for(lambda: bool(production.downloads()), "nothing is published")

    first.kill()
    for path in held_back[1::2]:
        move(path, later, production.data / "landing")

    def is_up_again() -> bool:
        found = production.child("daemon")
        return found is not None and found.pid != first.pid

    production.wait_for(is_up_again, "the daemon is not started again")
    wanted = {
        (source_class, episode): number
        for (source_class, episode, window), number in world.truth.downloads.items()
        if window == "calendar"
    }
    production.wait_for(
        lambda: production.downloads() == wanted, "the published downloads are not the world's own"
    )
    # Nothing was taken in twice, and nothing left out.
    ledger = Lake(production.data / "lake").ledger()
    assert ledger.height == len(world.files)
    # It was Dagster on this server that did it, and no run is left behind.
    runs = server.value("select count(*) from dagster.runs where status = 'SUCCESS'", "production")
    assert runs >= 3
    production.wait_for(
        lambda: (
            server.value(
                "select count(*) from dagster.runs where status in ('STARTED', 'STARTING', 'QUEUED')"
                " and pipeline_name = 'marts'",
                "production",
            )
            == 0
        ),
        "a run of the marts is left behind",
    )


def test_the_webserver_answers_after_the_restart_and_no_password_is_told(production: Production) -> None:
    asked = "{daemonHealth: instance{daemonHealth{allDaemonStatuses{daemonType healthy required}}}}"

    def all_healthy() -> bool:
        answer = production.ask(asked)
        if answer is None:
            return False
        found = answer["daemonHealth"]["daemonHealth"]["allDaemonStatuses"]
        return bool(found) and all(each["healthy"] for each in found if each["required"])

    production.wait_for(all_healthy, "not all daemons are well")
    log = production.log.read_text(errors="replace")
    assert "5f1c" not in log
    assert "\x1b[" not in log and re.search(r"^\S+Z INFO dagster\.daemon\.\S+: ", log, re.MULTILINE)
    assert "Z WARNING earshot.run: daemon ended with -9 and is started again" in log
    for process in psutil.Process(production.process.pid).children(recursive=True):
        assert "5f1c" not in " ".join(process.cmdline())
    for path in (production.data / "dagster").rglob("*"):
        if path.is_file():
            assert b"5f1c" not in path.read_bytes(), path
