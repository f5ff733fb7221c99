"""What root gives to the owner of a folder: its own new files, through no link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.durable import locked, write_atomically
from ingest.owner import account, give, name_of

SERVICE = 65_534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder of another account."""
    (tmp_path / "top").mkdir()
    os.chown(tmp_path / "top", SERVICE, SERVICE)
    return tmp_path / "top"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of root's elsewhere."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shadow").write_text("root's")
    return tmp_path / "etc" / "shadow"


def owner(path: Path) -> int:
    return path.lstat().st_uid


def test_locks_and_files_that_root_makes_in_the_folder_of_another_are_that_others(top: Path) -> None:
    with locked(top / ".lock"):
        assert owner(top / ".lock") == SERVICE
    write_atomically(top / "a" / "b" / "file", b"x")
    assert {owner(path) for path in (top / "a", top / "a" / "b", top / "a" / "b" / "file")} == {SERVICE}


def test_nothing_is_given_through_a_link(top: Path, secret: Path) -> None:
    (top / "link").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        give(top / "link", top.stat())
    with pytest.raises(OSError, match="symbolic links"), locked(top / "link"):
        pass
    assert owner(secret) == owner(secret.parent) == 0


def test_a_file_with_a_second_name_is_given_to_nobody(top: Path, secret: Path) -> None:
    os.link(secret, top / ".lock")
    with pytest.raises(OSError, match="second name"), locked(top / ".lock"):
        pass
    assert owner(secret) == 0


def test_accounts_go_by_name_or_number() -> None:
    assert account("root") == account("0") == (0, 0) and name_of(0) == "root"
    assert account("12345678") == (12345678, 12345678) and name_of(12345678) == "12345678"
    assert account("nobody-knows-this-one") is None
