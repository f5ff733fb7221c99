"""What `make bi` says before it prepares anything, and what it keeps to itself."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from deploy.superset.start import CannotStart, Place, look_for_the_port, make_folder, sources


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("EARSHOT_")]:
        monkeypatch.delenv(name)
    for name in ("SUPERSET_CONFIG_PATH", "PYTHONPATH", "FLASK_APP"):
        monkeypatch.setenv(name, "")  # so that what is set here does not outlive the test
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "published" / "00000007"
    folder.mkdir(parents=True)
    (folder / "shared.duckdb").touch()
    (folder.parent / "current").symlink_to(folder.name)
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EARSHOT_BI_PORT", "80880"),
        ("EARSHOT_BI_PORT", "-1"),
        ("EARSHOT_BI_WORKERS", "many"),
        ("EARSHOT_BI_WORKERS", "0"),
        ("EARSHOT_BI_MEMORY", "much"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=f"{name} = '{value}' cannot be used"):
        Place.from_env()


def test_without_shared_marts_it_says_what_to_do(shared: Path) -> None:
    (shared / "shared.duckdb").unlink()
    with pytest.raises(CannotStart, match="earshot run"):
        sources(Place.from_env())


def test_a_port_that_is_taken_is_told_before_minutes_of_preparing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("EARSHOT_BI_PORT", str(taken.getsockname()[1]))
        with pytest.raises(CannotStart, match="Address already in use"):
            look_for_the_port(Place.from_env())
    look_for_the_port(Place.from_env())


def test_the_database_is_named_by_the_link_and_not_by_a_version(shared: Path, tmp_path: Path) -> None:
    (source,) = sources(Place.from_env())
    assert source.uri == f"duckdb:///{tmp_path}/published/current/shared.duckdb"


def test_the_publishers_address_is_not_given_to_analysts(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EARSHOT_MARTS_DB", "postgresql://owner:s3cr3t@there/marts")
    assert len(sources(Place.from_env())) == 1
    said = capsys.readouterr().err
    assert "EARSHOT_BI_MARTS_DB" in said and "s3cr3t" not in said


def test_a_postgresql_that_is_away_leaves_the_file_to_analysts(
    shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EARSHOT_BI_MARTS_DB", "postgresql://reader:s3cr3t@127.0.0.1:1/marts")
    assert len(sources(Place.from_env())) == 1
    said = capsys.readouterr().err
    assert "PostgreSQL is not connected" in said and "s3cr3t" not in said


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    make_folder(Place.from_env())
    secret = tmp_path / "bi" / "secret_key"
    first = secret.read_text("ascii")
    make_folder(Place.from_env())
    assert secret.read_text("ascii") == first and len(first) >= 40
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)
