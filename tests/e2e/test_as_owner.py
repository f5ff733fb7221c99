"""Commands that root types on a data folder of the account that runs the services."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from earshot.as_owner import FOR_ROOT, is_for_root, refuse_root
from earshot.cli import app
from tests.registry.command_line import Earshot, typed

__all__ = ["typed"]

SERVICE = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root does can only be tried by root")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """pytest's own is closed to other accounts."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, SERVICE, SERVICE)
    return folder


@as_root
@pytest.mark.parametrize(
    "command",
    [
        "run",
        "maintain",
        "verify --repair",
        "migrate",
        "rebuild",
        "list",
        "serve",
        "marts load",
        "init",
        "key list",
        "privacy status",
        "lists refresh",
        "demo --once",
    ],
)
def test_root_is_told_as_whom_to_run_it_and_leaves_nothing(typed: Earshot, data: Path, command: str) -> None:
    said = typed(*command.split())
    assert said.code == 1 and "runuser -u nobody -- earshot" in said.err, said
    assert not list(data.iterdir())


@as_root
def test_an_account_without_a_name_is_told_by_its_number(typed: Earshot, data: Path) -> None:
    os.chown(data, 54_321, 54_321)
    assert "setpriv --reuid 54321 --clear-groups -- earshot list" in typed("list").err


@as_root
def test_what_root_may_run_leaves_nothing_of_roots(typed: Earshot, data: Path) -> None:
    for command in (["doctor"], ["alerts", "list"], ["home"], ["run", "--help"], ["marts", "document"]):
        assert "belongs to" not in typed(*command).err, command
    assert {each.lstat().st_uid for each in data.rglob("*")} == {SERVICE}


@as_root
def test_the_owner_itself_and_root_in_its_own_folder_are_let_in(typed: Earshot, data: Path) -> None:
    os.seteuid(SERVICE)
    try:
        refuse_root(data, "list")
    finally:
        os.seteuid(0)
    os.chown(data, 0, 0)
    assert "nothing is registered" in typed("list").err


def test_all_that_root_may_run_are_commands() -> None:
    root = typer.main.get_command(app)
    for name in FOR_ROOT:
        command = root
        for word in name.split():
            command = command.commands[word]  # type: ignore[attr-defined]
    assert is_for_root(["run", "--help"]) and not is_for_root(["marts", "load"])
