"""A real PostgreSQL that a test may stop, start again and let crash, and that asks for a password."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2

from tests.postgres import _ENVIRONMENT, PORT, SUPERUSER, NoPostgres, _account, _binaries, _call

PASSWORD = "pw-5f1c$&'%/of the server"  # with what must be quoted in a URL and in a file of settings
_START_S = 120
# The server ends with its standard input: so with us, however we end.
_SUPERVISED = """
log=$1; shift
"$@" >>"$log" 2>&1 &
server=$!
read -r how || how=QUIT
kill "-$how" $server
wait $server
"""


class RestartablePostgres:
    """A server on a socket of its own folder; its data live until the end of `restartable_postgres`."""

    def __init__(self, folder: Path, binaries: Path, run_as: dict[str, Any]) -> None:
        self.folder = folder
        self._binaries, self._run_as = binaries, run_as
        self._supervisor: subprocess.Popen[bytes] | None = None

    def url(self, database: str, user: str = SUPERUSER, password: str | None = PASSWORD) -> str:
        """As settings hold it."""
        from sqlalchemy import URL

        made = URL.create("postgresql", user, password, database=database, query={"host": str(self.folder)})
        return made.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        with contextlib.closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for each in statements:
                    cursor.execute(each)

    def value(self, query: str, database: str = "postgres") -> Any:
        with (
            contextlib.closing(psycopg2.connect(self.url(database))) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return cursor.fetchone()[0]

    def start(self) -> None:
        settings = ["-k", self.folder, "-p", PORT, "-c", "listen_addresses=", "-c", "max_connections=100"]
        command = [self._binaries / "postgres", "-D", self.folder / "data", *settings]
        log = self.folder / "log"
        self._supervisor = subprocess.Popen(
            ["sh", "-c", _SUPERVISED, "sh", *map(str, (log, *command))],
            stdin=subprocess.PIPE,
            cwd="/",
            env=_ENVIRONMENT,
            **self._run_as,
        )
        give_up = time.monotonic() + _START_S
        while True:
            try:
                psycopg2.connect(self.url("postgres")).close()
                return
            except psycopg2.OperationalError as error:
                if self._supervisor.poll() is not None or time.monotonic() > give_up:
                    raise NoPostgres(f"it does not start: {log.read_text()[-500:] or error}") from error
                time.sleep(0.05)

    def stop(self, how: str = "INT") -> None:
        """INT: connections are cut, it ends in order. QUIT: as in a crash, so it recovers at its start."""
        if self._supervisor is not None:
            self._supervisor.communicate(f"{how}\n".encode())
            self._supervisor = None


@contextlib.contextmanager
def restartable_postgres() -> Iterator[RestartablePostgres]:
    """A running server of our own until the end of the block. Raises NoPostgres."""
    account = _account()
    run_as: dict[str, Any] = (
        {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    )
    binaries = _binaries(run_as)
    folder = Path(tempfile.mkdtemp(prefix="earshot-pg-"))
    server = RestartablePostgres(folder, binaries, run_as)
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if account is not None:
            for each in (folder, secret):
                os.chown(each, account.pw_uid, account.pw_gid)
        options = ["-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "-N"]
        _call(run_as, binaries / "initdb", "-D", folder / "data", *options)
        server.start()
        yield server
    finally:
        server.stop("QUIT")
        shutil.rmtree(folder, ignore_errors=True)
