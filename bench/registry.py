"""A CSV file of podcasts into the registry with `earshot register`: SQLite, and PostgreSQL where it runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson
from sqlalchemy import func, select

from bench.measure import Cost, measured, python
from bench.report import Figures, say, show
from registry.database import connect
from registry.tables import podcasts, registrations
from tests.postgres import NoPostgres, running_postgres

ROWS = 1_000_000
HOSTS = 997
TENANTS = ("acme", "other")  # every tenth podcast is tracked by both


def run(rows: int | None, repeats: int) -> Figures:
    """One load a database, for a second one would begin with a full one; then the same file again."""
    del repeats
    rows = rows or ROWS
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        file = Path(room, "podcasts.csv")
        say(f"writing {rows:,} registrations ...")
        expected = _write(file, rows)
        databases = {"sqlite": _measure("SQLite", file, Path(room, "sqlite"), None, rows, expected)}
        try:
            with running_postgres() as server:
                url = server.url(server.create_database())
                databases["postgresql"] = _measure(
                    "PostgreSQL", file, Path(room, "postgresql"), url, rows, expected
                )
        except NoPostgres as error:
            say(f"no PostgreSQL: {error}")
    show(
        f"{rows:,} registrations of {expected:,} podcasts from CSV",
        ["", "seconds", "rows/s", "cpu-s", "peak MB", "again s"],
        [
            [name, of["seconds"], of["rows_per_s"], of["cpu_s"], of["peak_mb"], of["again_seconds"]]
            for name, of in databases.items()
        ],
    )
    return {"rows": rows, **databases["sqlite"], "databases": databases}


def _write(path: Path, rows: int) -> int:
    """Registrations in no order of their keys; returns how many podcasts they are of."""
    with path.open("w") as file:
        file.write("url,tenant,labels,itunes_id,show_id\n")
        podcast = row = 0
        while row < rows:
            for tenant in TENANTS[: 1 + (podcast % 10 == 0)]:
                if row < rows:
                    itunes_id = podcast + 1 if podcast % 2 else ""
                    url = f"https://feeds{podcast % HOSTS}.example.com/podcasts/show-{podcast:07d}/feed.xml"
                    file.write(f"{url},{tenant},{'customer' if podcast % 50 == 0 else 'lead'},{itunes_id},\n")
                    row += 1
            podcast += 1
    return podcast


def _measure(
    name: str, file: Path, data: Path, url: str | None, rows: int, expected: int
) -> dict[str, float]:
    say(f"{name}: loading ...")
    env = {"EARSHOT_DATA": str(data), **({"EARSHOT_REGISTRY": url} if url else {})}
    first, loaded = _load(file, env)
    say(f"{name}: the same again ...")
    again, known = _load(file, env)
    if (loaded["podcasts"], loaded["registrations"], known["known"]) != (expected, rows, rows):
        raise RuntimeError(f"not all were registered: {loaded}, then {known}")
    engine = connect(url, data)
    with engine.connect() as connection:
        counts = [connection.scalar(select(func.count()).select_from(t)) for t in (podcasts, registrations)]
    engine.dispose()
    if counts != [expected, rows]:
        raise RuntimeError(f"{counts} podcasts and registrations instead of {[expected, rows]}")
    return {
        "seconds": round(first.wall_s, 1),
        "rows_per_s": round(rows / first.wall_s),
        "cpu_s": round(first.cpu_s, 1),  # the database server's not counted
        "peak_mb": round(first.peak_mb),
        "again_seconds": round(again.wall_s, 1),
    }


def _load(file: Path, env: Mapping[str, str]) -> tuple[Cost, dict[str, int]]:
    command = python("-m", "earshot.cli", "register", "--csv", str(file), "--output", "json")
    cost, said = measured(command, env)
    return cost, orjson.loads(said)[0]
