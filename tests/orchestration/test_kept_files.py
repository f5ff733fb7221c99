"""What is kept for the next build is taken only where nobody else can have put it, and never needed."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

import pytest

from orchestration.kept_files import cache_home, keep_last, read_kept, write_kept


def test_who_has_no_home_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    file = cache_home() / "kept"
    write_kept(file, b"made")
    assert read_kept(file) is None
    keep_last(file.parent, "kept", 1)


def test_what_lies_where_others_write_is_not_taken_until_it_is_written_anew(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    write_kept(folder / "kept", b"made")
    assert read_kept(folder / "kept") == b"made" and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o775)
    assert read_kept(folder / "kept") is None, "one of our own files may have been put in another's place"
    write_kept(folder / "kept", b"anew")
    assert read_kept(folder / "kept") == b"anew"


def test_in_anothers_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_kept(tmp_path / "kept", b"made")
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert read_kept(tmp_path / "kept") is None
    write_kept(tmp_path / "other", b"made")
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_the_last_of_a_kind_stay_and_what_was_never_finished_goes(tmp_path: Path) -> None:
    for number in range(4):
        write_kept(tmp_path / f"a-{number}", b"made")
        os.utime(tmp_path / f"a-{number}", (number, number))
    write_kept(tmp_path / "b-0", b"made")
    (tmp_path / "a-folder").mkdir()
    for name, age_s in ((".a-1.old.tmp", 86_400), (".a-1.new.tmp", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    keep_last(tmp_path, "a-", 2)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"a-2", "a-3", "b-0", "a-folder", ".a-1.new.tmp"}
