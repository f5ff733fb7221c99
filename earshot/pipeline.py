"""The whole way in one process: landing files → lake → marts → published, without Dagster.

Production runs the same four functions as assets; `earshot count` and `earshot demo --once` call them here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from ingest.lake import reading as reading_lake
from ingest.lake import stop_if_damaged
from ingest.settings import Settings
from orchestration.dbt_args import LEAN_DBT, build_args, dbt_environment, target_dir
from orchestration.kept_files import cache_home, keep_last, read_kept, write_kept
from orchestration.lean_dbt import WAITS
from serving.contract import project_dir

if TYPE_CHECKING:
    import duckdb

PARSED = "partial_parse.msgpack"
_KEPT, _MOST_KEPT = "parsed-", 8  # places Earshot runs from, or variables, in turn: 2 MB each
_MODEL_DONE = re.compile(r"\b\d+ of (\d+) (?!START\b)[A-Z]")  # of dbt: 20 of 22 OK created sql table …


class DbtFailed(RuntimeError):
    """dbt did not finish; the message carries what it said."""


def run_dbt(
    settings: Settings,
    arguments: Sequence[str],
    on_line: Callable[[str], None] | None = None,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run dbt as its own process, so that it lets go of the warehouse when it ends. Raises DbtFailed
    and LakeDamaged.

    variables: of the environment, beside those of `settings`.
    """
    with dbt_at_hand(settings, arguments, variables) as run:
        run(on_line)


@contextlib.contextmanager
def dbt_at_hand(
    settings: Settings, arguments: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[Callable[[Callable[[str], None] | None], None]]:
    """`run_dbt` in two steps: dbt starts now, and does its work once what this yields is called.

    † Half of what a small build costs is dbt's start, which needs neither the lake nor the warehouse.
    """
    # dbt parses anew under other paths of warehouse and lake († 4 CPU-s): both are told from here.
    environment = (
        dbt_environment(settings)
        | {
            "EARSHOT_WAREHOUSE": settings.warehouse.name,
            "EARSHOT_LAKE": os.path.relpath(settings.lake_dir, settings.warehouse.parent),
            WAITS: "1",
        }
        | dict(variables or {})
    )
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    parsed = target_dir(settings) / PARSED
    remembered = _parse_cache(arguments)
    known = read_kept(remembered)
    if known is not None and not parsed.exists():
        parsed.parent.mkdir(parents=True, exist_ok=True)
        parsed.write_bytes(known)  # where there is no room, the error names the right one
    before = parsed.stat().st_mtime_ns if parsed.exists() else 0
    with subprocess.Popen(
        [*LEAN_DBT, "--no-use-colors", *arguments],
        env={"DBT_WRITE_JSON": "false", **os.environ, **environment},
        cwd=settings.warehouse.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def run(on_line: Callable[[str], None] | None = None) -> None:
            said: list[str] = []
            stop_if_damaged(settings.lake_dir)
            with reading_lake(settings.lake_dir):
                assert process.stdin is not None and process.stdout is not None
                with contextlib.suppress(BrokenPipeError):  # it has ended already: what it said tells why
                    os.write(process.stdin.fileno(), b"run\n")
                for line in process.stdout:
                    said.append(line.rstrip())
                    if on_line:
                        on_line(said[-1])
                process.wait()
            if parsed.exists() and (known is None or parsed.stat().st_mtime_ns > before):
                write_kept(remembered, parsed.read_bytes())
                keep_last(remembered.parent, _KEPT, _MOST_KEPT)
            if process.returncode:
                told = [line for line in said if "Error" in line or "ERROR" in line or "FAIL" in line] or said
                raise DbtFailed(_ended(process.returncode, said) + ":\n  " + "\n  ".join(told[-20:]))

        try:
            yield run
        finally:
            process.kill()  # had it not run: nothing is lost


def models_done(tell: Callable[[int, int], None]) -> Callable[[str], None]:
    """What is to be done with a line of dbt's so that `tell` gets (models and tests done, of all)."""
    done = 0

    def look(line: str) -> None:
        nonlocal done
        if found := _MODEL_DONE.search(line):
            done += 1
            tell(done, int(found[1]))

    return look


def _ended(code: int, said: Sequence[str]) -> str:
    """Why there is no build, and what to do."""
    if any(os.strerror(errno.ENOSPC) in line for line in said):
        return "the disk is full: free some space and run it again: nothing is lost. dbt said"
    if code >= 0:
        return "dbt did not finish"
    return (
        f"dbt was killed ({signal.Signals(-code).name}), perhaps by the system for want of memory "
        "(EARSHOT_DUCKDB_MEMORY): nothing was published, nothing is lost; build again. Until then it had said"
    )


def _parse_cache(arguments: Sequence[str]) -> Path:
    """What dbt made of the project when it last ran from this place; it parses what has changed since."""
    variables = arguments[arguments.index("--vars") + 1] if "--vars" in arguments else ""
    key = xxhash.xxh3_64_hexdigest(f"{project_dir()} {version('dbt-core')} {variables}".encode())
    return cache_home() / f"{_KEPT}{key}.msgpack"


def build_marts(
    settings: Settings, select: Sequence[str] = (), on_line: Callable[[str], None] | None = None
) -> None:
    """Bring the marts up to date with the lake. Raises DbtFailed."""
    run_dbt(settings, build_args(select=select), on_line)


@contextlib.contextmanager
def reading(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a DuckDB file, closed at the end; its views find the lake beside it."""
    import duckdb  # not above: who builds opens no database († 0.05 CPU-s)

    database = database.resolve()
    beside: dict[str, str | bool | int | float | list[str]] = {"file_search_path": str(database.parent)}
    with contextlib.closing(duckdb.connect(str(database), read_only=True, config=beside)) as connection:
        yield connection


@dataclass(frozen=True)
class Totals:
    """What a data folder holds, for the one-line summary."""

    requests: int
    downloads: int
    listeners: int
    rejects: int


def totals(settings: Settings, published: Path) -> Totals:
    """Totals over the ledger and the published marts. Downloads of the two source classes are different views
    of the same listening, so only those of server logs count, unless there are none."""
    from ingest.lake import Lake

    ledger = Lake(settings.lake_dir).ledger()
    with reading(published) as con:
        classes = dict(
            con.execute(
                "select source_class, cast(sum(downloads) as bigint) from fct_downloads group by source_class"
            ).fetchall()
        )
        chosen = "server_log" if "server_log" in classes else "prefix"
        row = con.execute(
            "select count(distinct listener_key) from fct_downloads where downloads = 1 and source_class = ?",
            [chosen],
        ).fetchone()
    return Totals(
        requests=int(ledger["requests"].sum()),
        downloads=int(classes.get(chosen, 0)),
        listeners=int(row[0]) if row else 0,
        rejects=int(ledger["rejects"].sum()),
    )
