"""The landing folder of notices: nothing read twice, nothing lost, nothing that harms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.feeds.sources import landing
from ingest.feeds.sources.landing import DONE, Landed, NoticeFolder, put_away
from ingest.feeds.sources.notices import NoticeReject
from ingest.logs.found import landing_folders
from ingest.settings import SettingError, Settings
from ingest.sources import safe_name

A = "https://a.example/feed"


def now_us() -> int:
    return time.time_ns() // 1000 + 1


@pytest.fixture
def folder(tmp_path: Path) -> NoticeFolder:
    return NoticeFolder(Settings(data=tmp_path).hints_dir, settle_s=0)


def drop(folder: NoticeFolder, name: str, body: bytes | None = None, source: str = "podping") -> Path:
    path = folder.root / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps({"url": A}).encode() if body is None else body)
    return path


def waiting(folder: NoticeFolder) -> list[Landed]:
    return list(folder.waiting(now_us()))


def take_in(folder: NoticeFolder) -> list[str | None]:
    """The URLs of all hints, files put away."""
    found = []
    for landed in waiting(folder):
        found += [hint.feed_url for hint in landed.notices.hints]
        put_away(landed)
    return found


def reasons(folder: NoticeFolder) -> list[NoticeReject]:
    return [reject.reason for landed in waiting(folder) for reject in landed.notices.rejects]


def test_files_of_every_source_are_read_and_put_away(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    drop(folder, "2.JSONL", b'{"url":"https://b.example/"}\n', source="websub")
    first, second = waiting(folder)
    assert (first.source, second.source) == ("podping", "websub")
    assert second.notices.hints[0].source == "websub" and second.notices.hints[0].file == "2.JSONL"
    assert take_in(folder) == [A, "https://b.example/"]
    assert waiting(folder) == []
    assert not (folder.root / "podping" / "1.json").exists()


def test_a_delivery_that_comes_again_changes_nothing(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    assert take_in(folder) == [A]
    drop(folder, "1.json")
    (again,) = waiting(folder)
    assert again.is_known and not again.notices.hints and not again.notices.rejects
    assert take_in(folder) == []
    assert waiting(folder) == [] and len(list((folder.root / "podping" / DONE).iterdir())) == 1


def test_the_same_words_in_another_file_are_another_notice(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    assert take_in(folder) == [A]
    drop(folder, "2.json")
    drop(folder, "1.json", b'{"url":"https://b.example/"}')
    assert sorted(map(str, take_in(folder))) == [A, "https://b.example/"]


def test_a_file_that_is_still_written_is_left_alone(folder: NoticeFolder) -> None:
    path = drop(folder, "1.json")
    drop(folder, "2.json.tmp")
    drop(folder, ".3.json")
    drop(folder, "4.txt")
    slow = NoticeFolder(folder.root, settle_s=60)
    assert list(slow.waiting(now_us())) == []
    os.utime(path, (1, 1))  # copied with its old time: it has only just come
    assert list(slow.waiting(now_us())) == []
    assert [landed.path for landed in slow.waiting(now_us() + 61_000_000)] == [path]


def test_a_crash_before_a_file_is_put_away_has_it_read_again_to_the_same_end(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    before = waiting(folder)
    assert [landed.notices for landed in waiting(folder)] == [landed.notices for landed in before]
    assert not waiting(folder)[0].is_known


def test_a_process_killed_while_putting_away_loses_and_doubles_no_file(folder: NoticeFolder) -> None:
    for number in range(40):
        drop(folder, f"{number:02}.json", b'{"url":"https://a.example/%d"}' % number)
    work = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from ingest.feeds.sources.landing import NoticeFolder, put_away\n"
        "folder = NoticeFolder(Path(sys.argv[1]), settle_s=0)\n"
        "for landed in folder.waiting(time.time_ns() // 1000 + 1):\n"
        "    print(landed.notices.hints[0].feed_url, flush=True)\n"
        "    put_away(landed)\n"
    )
    stored: set[str] = set()
    for lines in (5, 9, 13):
        worker = subprocess.Popen(
            [sys.executable, "-c", work, str(folder.root)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        stored |= {worker.stdout.readline().strip() for _ in range(lines)}
        worker.kill()
        stored |= set(worker.stdout.read().split())  # what it had still written counts as stored
        worker.wait()
    stored |= set(map(str, take_in(folder)))
    assert stored == {f"https://a.example/{number}" for number in range(40)}
    assert len(list((folder.root / "podping" / DONE).iterdir())) == 40 and waiting(folder) == []


def test_two_processes_may_put_the_same_file_away(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    (one,), (other,) = waiting(folder), waiting(folder)
    put_away(one)
    put_away(other)
    assert waiting(folder) == []


def test_a_file_that_took_the_place_of_the_one_read_is_not_put_away_with_it(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    (landed,) = waiting(folder)
    fresh = drop(folder, ".new", b'{"url":"https://b.example/"}')
    fresh.replace(folder.root / "podping" / "1.json")
    put_away(landed)
    assert take_in(folder) == ["https://b.example/"]


def test_files_put_away_are_forgotten_in_time(folder: NoticeFolder) -> None:
    drop(folder, "1.json")
    take_in(folder)
    assert folder.expire(now_us()) == 0
    assert folder.expire(now_us() + 8 * 86_400_000_000) == 1
    drop(folder, "1.json")
    assert take_in(folder) == [A]


def test_links_pipes_and_folders_are_not_followed(folder: NoticeFolder, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"url":"https://secret.example/"}')
    (folder.root / "podping").mkdir(parents=True)
    (folder.root / "podping" / "1.json").symlink_to(secret)
    os.mkfifo(folder.root / "podping" / "2.json")
    (folder.root / "podping" / "3.json").mkdir()
    (folder.root / "linked").symlink_to(tmp_path)
    assert reasons(folder) == [NoticeReject.NOT_A_FILE] * 3
    assert take_in(folder) == []
    assert secret.exists() and len(reasons(folder)) == 3


def test_a_file_that_is_too_large_is_put_away_unread(
    folder: NoticeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "MAX_FILE_BYTES", 10)
    drop(folder, "1.json")
    assert reasons(folder) == [NoticeReject.TOO_LARGE]
    assert take_in(folder) == [] and waiting(folder) == []


@pytest.mark.parametrize("source", ["Podping", "a b", "x" * 65, "ü"])
def test_a_folder_that_cannot_name_a_source_is_told(folder: NoticeFolder, source: str) -> None:
    drop(folder, "1.json", source=source)
    drop(folder, "1.json")
    assert NoticeReject.BAD_SOURCE in reasons(folder)
    assert take_in(folder) == [A]


def test_names_may_be_long_and_need_not_be_text(folder: NoticeFolder) -> None:
    for name in (b"\xff\xfe.json", b"n" * 250 + b".json", "\u202e🎙.json".encode()):
        drop(folder, os.fsdecode(name))
    assert take_in(folder) == [A, A, A] and waiting(folder) == []


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert waiting(NoticeFolder(tmp_path / "none")) == []
    assert NoticeFolder(tmp_path / "none").expire(now_us()) == 0


def test_notices_are_not_taken_for_logs(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    settings.hints_dir.mkdir(parents=True)
    (settings.landing_dir / "cdn").mkdir()
    assert [path.name for path in landing_folders(settings)] == ["cdn"]
    with pytest.raises(SettingError, match="'hints'"):
        safe_name("hints")
