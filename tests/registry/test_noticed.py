"""Notice files become hints: each counts, whatever lies beside it, whoever is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingest.feeds.sources.landing import DONE
from ingest.feeds.sources.notices import NoticeReject
from ingest.feeds.sources.settings import FILE
from ingest.feeds.urls import podcast_key
from ingest.settings import SettingError, Settings
from registry import noticed
from registry.hints import Hint, pending
from registry.noticed import MAX_TOLD, Taken, take_notices
from registry.podcasts import Registration, register

A, B = "https://a.example.com/feed.xml", "https://b.example.com/feed.xml"
KEY_A, KEY_B = podcast_key(A), podcast_key(B)
AT, AT_US = "2026-06-01T12:00:00", 1_780_315_200_000_000
ALL = range(256)


@pytest.fixture
def settings(url: str, engine: Engine, tmp_path: Path) -> Settings:
    """Two podcasts are tracked; files settle at once."""
    register(engine, [Registration(A), Registration(B)], 1)
    data = tmp_path / "data"
    data.mkdir()
    (data / FILE).write_text("[podping]\nsettle_s = 0\n[websub]\nsettle_s = 0\n")
    return Settings(data=data, registry=url)


def notice(*urls: str) -> str:
    return json.dumps({"version": "1.1", "reason": "update", "iris": urls, "timestamp": AT}) + "\n"


def drop(settings: Settings, name: str, text: str, source: str = "podping") -> Path:
    path = settings.hints_dir / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def take(settings: Settings) -> Taken:
    return take_notices(settings, clock=lambda: time.time_ns() // 1000 + 1)


def reasons(taken: Taken) -> list[tuple[str, int, NoticeReject]]:
    return [(reject.file, reject.line, reject.reason) for _, reject in taken.rejects]


def test_notices_become_hints_and_their_files_are_put_away(settings: Settings, engine: Engine) -> None:
    file = drop(settings, "1.json", notice(A, B))
    drop(settings, "2.jsonl", json.dumps({"topic": A, "podcast_key": KEY_A, "received_at": AT}), "websub")
    taken = take(settings)
    assert pending(engine, ALL) == sorted(
        [Hint(KEY_A, "podping", AT_US), Hint(KEY_A, "websub", AT_US), Hint(KEY_B, "podping", AT_US)],
        key=lambda hint: (hint.podcast_key, hint.source),
    )
    assert {name: vars(each) for name, each in taken.sources.items()} == {
        "podping": {"source": "podping", "files": 1, "hints": 2, "tracked": 2, "rejected": 0},
        "websub": {"source": "websub", "files": 1, "hints": 1, "tracked": 1, "rejected": 0},
    }
    assert not file.exists() and len(list((file.parent / DONE).iterdir())) == 1
    assert take(settings).sources == {}


def test_a_notice_of_a_podcast_that_nobody_tracks_is_dropped(settings: Settings, engine: Engine) -> None:
    drop(settings, "1.json", notice("https://nobody.example.com/feed", A))
    taken = take(settings)
    assert (taken.total("hints"), taken.total("tracked"), taken.total("rejected")) == (2, 1, 0)
    assert [hint.podcast_key for hint in pending(engine, ALL)] == [KEY_A]


def test_a_lone_bad_line_is_told_and_costs_no_other(settings: Settings, engine: Engine) -> None:
    drop(settings, "1.jsonl", notice(A) + "not json\n" + notice(B))
    taken = take(settings)
    assert {hint.podcast_key for hint in pending(engine, ALL)} == {KEY_A, KEY_B}
    assert reasons(taken) == [("1.jsonl", 2, NoticeReject.NOT_JSON)]
    assert taken.total("rejected") == 1


def test_a_flood_is_one_hint_a_podcast_and_holds_up_no_other_source(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticed, "_FILES", 7)
    for number in range(60):
        drop(settings, f"{number:03}.jsonl", notice(A) * 200)
    drop(settings, "1.json", notice(B), "websub")
    first = take_notices(settings, 0, lambda: time.time_ns() // 1000 + 1)  # time is over at once
    assert not first.is_complete and first.total("files") == 1
    second = take_notices(settings, 0, lambda: time.time_ns() // 1000 + 1)
    assert second.total("files") == 1
    taken = take(settings)
    assert taken.is_complete and taken.sources["podping"].files == 58
    assert pending(engine, ALL) == sorted(
        [Hint(KEY_A, "podping", AT_US), Hint(KEY_B, "websub", AT_US)], key=lambda hint: hint.podcast_key
    )


def test_the_sources_take_turns(settings: Settings) -> None:
    for number in range(9):
        drop(settings, f"{number}.json", notice(A), "a_flood")
    drop(settings, "1.json", notice(B))
    (settings.data / FILE).write_text("[podping]\nsettle_s = 0\n")
    now_us = time.time_ns() // 1000 + 3_000_000  # the defaults of a source of one's own: settled after 2 s
    folders = noticed.notice_folders(settings)
    found = noticed._in_turn([folder.waiting(now_us) for folder in folders])
    assert [next(found).source for _ in range(3)] == ["a_flood", "podping", "a_flood"]


def test_many_rejects_are_counted_and_some_are_told(settings: Settings) -> None:
    drop(settings, "1.jsonl", "junk\n" * (MAX_TOLD + 50))
    taken = take(settings)
    assert len(taken.rejects) == MAX_TOLD and taken.total("rejected") == MAX_TOLD + 50


def test_a_source_that_is_off_is_left_lying(settings: Settings, engine: Engine) -> None:
    (settings.data / FILE).write_text("[podping]\non = false\n")
    file = drop(settings, "1.json", notice(A))
    assert take(settings).sources == {} and file.exists() and pending(engine, ALL) == []


def test_a_source_of_ones_own_has_the_defaults_of_podping(settings: Settings, engine: Engine) -> None:
    drop(settings, "1.json", notice(A), "our-watcher")
    assert take(settings).sources == {}  # written just now: not settled
    taken = take_notices(settings, clock=lambda: time.time_ns() // 1000 + 3_000_000)
    assert taken.sources["our-watcher"].tracked == 1
    assert pending(engine, ALL) == [Hint(KEY_A, "our-watcher", AT_US)]


def test_a_broken_setting_is_told_and_nothing_is_lost(settings: Settings) -> None:
    file = drop(settings, "1.json", notice(A))
    (settings.data / FILE).write_text("[podpings]\non = true\n")
    with pytest.raises(SettingError, match="no source 'podpings'"):
        take(settings)
    assert file.exists()


def test_no_key_of_a_directory_is_needed_to_take_notices(settings: Settings) -> None:
    with (settings.data / FILE).open("a") as file:
        file.write('[podcastindex]\non = true\nkey_env = "NOT_SET"\nsecret_env = "NOT_SET"\n')
    drop(settings, "1.json", notice(A))
    assert take(settings).total("tracked") == 1


def test_what_cannot_be_put_away_counts_and_is_told(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = drop(settings, "1.json", notice(A))
    (file.parent / DONE).write_text("a file where a folder should be")
    assert reasons(take(settings)) == [("1.json", 0, NoticeReject.NOT_PUT_AWAY)]
    assert len(pending(engine, ALL)) == 1 and file.exists()


def test_a_link_and_a_folder_of_no_source_are_told_and_stay(settings: Settings) -> None:
    drop(settings, "1.json", notice(A), "No Source")
    link = settings.hints_dir / "podping" / "2.json"
    link.parent.mkdir()
    link.symlink_to("/etc/passwd")
    assert {reject.reason for _, reject in take(settings).rejects} == {
        NoticeReject.BAD_SOURCE,
        NoticeReject.NOT_A_FILE,
    }
    assert link.is_symlink()


def test_files_put_away_are_forgotten_when_their_time_is_over_looked_at_once_an_hour(
    settings: Settings,
) -> None:
    drop(settings, "1.json", notice(A))
    take(settings)
    now_us = time.time_ns() // 1000
    day_us = 86_400 * 10**6
    assert take_notices(settings, clock=lambda: now_us + 6 * day_us).forgotten == 0
    assert take_notices(settings, clock=lambda: now_us + 8 * day_us).forgotten == 1
    assert list((settings.hints_dir / "podping" / DONE).iterdir()) == []


KILLED = """
import os, sys, time
from pathlib import Path
from ingest.settings import Settings
from registry import noticed
put_away = noticed.put_away
def killed(landed):
    if landed.path.name == "2.json":
        os.kill(os.getpid(), 9)
    put_away(landed)
noticed.put_away = killed
noticed.take_notices(Settings.from_env(), clock=lambda: time.time_ns() // 1000 + 1)
"""
TAKING = """
import time
from ingest.settings import Settings
from registry.noticed import take_notices
print("ready", flush=True)
input()
taken = take_notices(Settings.from_env(), clock=lambda: time.time_ns() // 1000 + 1)
print(taken.total("files"), taken.total("tracked"))
"""


def environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "EARSHOT_DATA": str(settings.data), "EARSHOT_REGISTRY": settings.registry or ""}


def test_a_process_killed_between_storing_and_putting_away_loses_and_doubles_nothing(
    settings: Settings, engine: Engine
) -> None:
    for number, feed in enumerate((A, A, B, A)):
        drop(settings, f"{number}.json", notice(feed))
    ended = subprocess.run([sys.executable, "-c", KILLED], env=environment(settings), check=False)
    assert ended.returncode == -9
    hints = pending(engine, ALL)
    assert {hint.podcast_key for hint in hints} == {KEY_A, KEY_B}  # stored before any file was put away
    left = sorted(path.name for path in (settings.hints_dir / "podping").glob("*.json"))
    assert left == ["2.json", "3.json"]
    assert take(settings).total("files") == 2
    assert pending(engine, ALL) == hints  # the same words again, the same instants


def test_two_processes_on_one_folder_store_each_notice_once(settings: Settings, engine: Engine) -> None:
    for number in range(40):
        drop(settings, f"{number:02}.json", notice(A, B))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKING],
            env=environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    said = [worker.communicate("go\n")[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert [hint.noticed_us for hint in pending(engine, ALL)] == [AT_US, AT_US]
    folder = settings.hints_dir / "podping"
    assert not list(folder.glob("*.json")) and len(list((folder / DONE).iterdir())) == 40


def test_the_registry_is_not_opened_where_nothing_waits(tmp_path: Path) -> None:
    take_notices(Settings(data=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_when_the_registry_fails_the_files_stay(settings: Settings) -> None:
    file = drop(settings, "1.json", notice(A))
    broken = settings.model_copy(update={"registry": "postgresql://nobody@127.0.0.1:9/none"})
    with pytest.raises(SettingError):
        take(broken)
    assert file.exists() and take(settings).total("tracked") == 1
