"""`earshot init --postgres` on a real server that asks for a password."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.postgres import NoPostgres
from tests.restartable_postgres import PASSWORD, RestartablePostgres, restartable_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[RestartablePostgres]:
    try:
        with restartable_postgres() as found:
            yield found
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


@pytest.fixture
def database(server: RestartablePostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"d{abs(hash(request.node.name))}"
    server.execute(f"create database {name} template template0")
    yield name
    server.execute(f"drop database {name} with (force)")


def earshot(data: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "PG"))}
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        env={**clean, "EARSHOT_DATA": str(data), "HOME": str(data.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def sourced(path: Path) -> dict[str, str]:
    """What a shell reads from the file."""
    told = subprocess.run(
        ["sh", "-c", f"set -a; . {shlex.quote(str(path))}; env -0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    ).stdout
    return dict(pair.split("=", 1) for pair in told.decode().split("\0") if pair.startswith("EARSHOT_"))


def test_it_prepares_all_once_and_tells_no_password(
    server: RestartablePostgres, database: str, tmp_path: Path
) -> None:
    data, url = tmp_path / "data", server.url(database, password=None)
    first = earshot(data, "init", "--postgres", url, PGPASSWORD=PASSWORD)
    assert first.returncode == 0, first.stderr
    file = data / "earshot.env"
    assert file.stat().st_mode & 0o777 == 0o600
    settings = sourced(file)
    assert settings["EARSHOT_DATA"] == str(data)
    assert settings["EARSHOT_REGISTRY"] == settings["EARSHOT_DAGSTER_DB"] == server.url(database)
    assert server.value("select count(*) from podcasts", database) == 0
    assert server.value("select count(*) from dagster.event_logs", database) == 0

    file.write_text(file.read_text() + "EARSHOT_TIME_ZONE=Europe/Berlin\n# ours\n")
    before = file.read_text()
    again = earshot(data, "init", "--postgres", url, PGPASSWORD=PASSWORD)
    assert again.returncode == 0 and "as they were" in again.stderr, again.stderr
    assert file.read_text() == before
    yaml = (data / "dagster" / "dagster.yaml").read_text()
    for said in (first.stderr, first.stdout, again.stderr, yaml):
        assert PASSWORD not in said and quote(PASSWORD) not in said and "5f1c" not in said

    home = earshot(data, "home", **settings)
    assert "DAGSTER_HOME" in home.stdout and "5f1c" not in home.stdout
    # What it wrote is all that the other commands need.
    assert earshot(data, "migrate", **settings).returncode == 0
    assert earshot(data, "list", **settings).returncode == 0


def test_a_password_in_the_url_and_one_in_pgpass_do_as_well(
    server: RestartablePostgres, database: str, tmp_path: Path
) -> None:
    assert earshot(tmp_path / "a", "init", "--postgres", server.url(database)).returncode == 0
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    pgpass = tmp_path / ".pgpass"
    pgpass.write_text(f"*:*:*:*:{escaped}\n")
    pgpass.chmod(0o600)
    done = earshot(tmp_path / "b", "init", "--postgres", server.url(database, password=None), "--take-over")
    assert done.returncode == 0, done.stderr
    settings = sourced(tmp_path / "b" / "earshot.env")
    assert settings["EARSHOT_DAGSTER_DB"] == server.url(database, password=None)
    assert earshot(tmp_path / "b", "migrate", **settings).returncode == 0


def test_a_second_installation_is_kept_off_the_database_of_the_first(
    server: RestartablePostgres, database: str, tmp_path: Path
) -> None:
    one, two, url = tmp_path / "one", tmp_path / "two", server.url(database)
    assert earshot(one, "init", "--postgres", url).returncode == 0
    refused = earshot(two, "init", "--postgres", url)
    assert refused.returncode == 1 and "belongs to another installation" in refused.stderr
    assert not two.exists()

    # As the restored copy of the first, with its settings: lake and keys, but no installation.id.
    settings = sourced(one / "earshot.env") | {"EARSHOT_DATA": str(two)}
    for command in (["migrate"], ["run"], ["home"]):
        refused = earshot(two, *command, **settings)
        assert refused.returncode == 1 and "earshot init --take-over" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr and "5f1c" not in refused.stderr
    told = " ".join(earshot(two, "doctor", **settings).stdout.split())
    assert told.count("belongs to another installation") == 2, told
    for name in ("EARSHOT_REGISTRY", "EARSHOT_DAGSTER_DB"):  # each of the two suffices
        only = {each: value for each, value in settings.items() if each in (name, "EARSHOT_DATA")}
        assert earshot(two, "migrate", **only).returncode == 1

    # The first one's goes on as before, until the second one takes it over.
    assert earshot(one, "migrate", **sourced(one / "earshot.env")).returncode == 0
    assert earshot(two, "init", "--take-over", **settings).returncode == 0
    assert earshot(two, "home", **settings).returncode == 0
    assert earshot(one, "home", **sourced(one / "earshot.env")).returncode == 1


def test_what_cannot_be_used_is_told_with_what_to_do_and_nothing_is_made(
    server: RestartablePostgres, database: str, tmp_path: Path
) -> None:
    server.execute(
        "drop role if exists weak",
        f"create role weak login password '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
    )
    server.execute("revoke create on schema public from public", database=database)
    cases = [
        (server.url(database, password="wrong-secret"), "PGPASSWORD or ~/.pgpass"),
        (server.url("absent"), "createdb --owner earshot"),
        (server.url(database, "weak"), f'grant create on database "{database}" to "weak"'),
        (server.url(database).replace("earshot-pg-", "nowhere-"), "Does it run"),
        ("mysql://user:wrong-secret@host/database", "mysql is not postgresql"),
        ("wrong-secret", "no database URL"),
        ("postgresql://u:pa@wrong-secret@localhost/db", "write it as %40"),
        ("", "no database URL"),
    ]
    for url, advice in cases:
        done = earshot(tmp_path / "data", "init", "--postgres", url)
        assert done.returncode == 1 and advice in done.stderr, (url, done.stderr)
        assert "5f1c" not in done.stderr and "wrong-secret" not in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "data").exists()
    server.execute(f'grant create on database "{database}" to weak')
    done = earshot(tmp_path / "data", "init", "--postgres", server.url(database, "weak"))
    assert 'grant create on schema "public" to "weak"' in done.stderr
    server.execute(f"revoke all on database {database} from weak", "drop role weak")


def test_a_registry_in_use_is_not_left_behind_silently(
    server: RestartablePostgres, database: str, tmp_path: Path
) -> None:
    data, url = tmp_path / "data", server.url(database)
    assert earshot(data, "key", "new", "--tenant", "house", "--scope", "read").returncode == 0
    refused = earshot(data, "init", "--postgres", url)
    assert refused.returncode == 1 and "--keep-registry" in refused.stderr
    assert not (data / "earshot.env").exists()
    kept = earshot(data, "init", "--postgres", url, "--keep-registry")
    assert kept.returncode == 0, kept.stderr
    assert "EARSHOT_REGISTRY" not in sourced(data / "earshot.env")
    assert "house" in earshot(data, "key", "list", **sourced(data / "earshot.env")).stdout


def test_without_a_server_it_prepares_the_embedded_databases(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = earshot(data, "init")
    assert done.returncode == 0, done.stderr
    assert sourced(data / "earshot.env") == {"EARSHOT_DATA": str(data)}
    assert (data / "registry.db").exists() and (data / "dagster" / "dagster.yaml").exists()


def test_root_prepares_no_folder_of_another_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("left out: only root can give a folder away")
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    done = earshot(data, "init")
    assert done.returncode == 1 and "belongs to nobody, whose services" in done.stderr
    assert not list(data.iterdir())
