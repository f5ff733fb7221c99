"""`earshot register`, `deregister`, `list` and `status`, as typed, on both databases."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from ingest.feeds.urls import podcast_key
from registry.database import FILE_NAME, connect, writing
from registry.findings import Finding, FindingReason, replace_findings
from registry.podcasts import Crawled, record_crawl
from registry.tables import PodcastState
from tests.registry.command_line import Earshot, Said

A, B = "https://a.example.com/feed.xml", "https://b.example.com/feed.xml"
KEY_A, KEY_B = podcast_key(A), podcast_key(B)
GUID = "917393e3-1b1e-5cef-ace4-edaa54e1f810"
NEGATIVE = "https://example.com/2"  # a URL with a key below zero


def counts(said: Said) -> dict[str, object]:
    return {name: count for name, count in said.rows[0].items() if count}


def test_urls_are_registered_and_listed(earshot: Earshot) -> None:
    said = earshot("register", A, B, "--tenant", "acme", "--label", "lead", "--output", "json")
    assert (said.code, counts(said)) == (0, {"podcasts": 2, "registrations": 2})
    again = earshot("register", A, B, "--tenant", "acme", "--label", "lead", "--output", "json")
    assert (again.code, counts(again)) == (0, {"known": 2})
    listed = earshot("list", "--output", "json").rows
    assert {row["feed_url"]: (row["tenants"], row["labels"]) for row in listed} == {
        A: (["acme"], ["lead"]),
        B: (["acme"], ["lead"]),
    }


def test_who_registers_is_told_what_comes_next_and_only_in_a_table(earshot: Earshot) -> None:
    assert "next: `earshot run` or `earshot sweep`" in earshot("register", A).err
    assert "next" not in earshot("register", A).err  # nothing new
    assert "next" not in earshot("register", B, "--output", "json").err


def test_a_url_without_its_scheme_is_understood_where_it_is_safe_to(earshot: Earshot) -> None:
    said = earshot("register", "a.example.com/feed.xml")
    assert said.code == 1 and f"did you mean {A}?" in said.err
    assert "mean" not in earshot("register", "nonsense").err
    earshot("register", A, "http://localhost/feed")
    assert earshot("status", "a.example.com/feed.xml").code == 0
    assert earshot("status", "https://localhost/feed").code == 0
    assert earshot("deregister", "a.example.com/feed.xml").code == 0


def test_what_is_refused_is_shown_and_kept(earshot: Earshot, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"url,labels\n{A},x\nnonsense,\n{A},x\n" + "ftp://b,\n" * 30)
    said = earshot("register", "--csv", "s.csv", "--rejects", "refused.csv", "--output", "json")
    assert (said.code, counts(said)) == (3, {"podcasts": 1, "registrations": 1})
    assert "s.csv:3: bad_url: not an absolute URL: 'nonsense'" in said.err
    assert "s.csv:4: duplicate" in said.err
    assert sum(line.startswith("s.csv:") for line in said.err.splitlines()) == 20
    assert "32 in all: 31 bad_url, 1 duplicate" in said.err
    kept = list(csv.DictReader(io.StringIO((tmp_path / "refused.csv").read_text())))
    assert [(row["name"], row["line"]) for row in kept] == [("s.csv", str(line)) for line in range(3, 35)]


def test_files_of_all_kinds_and_urls_go_together(earshot: Earshot, tmp_path: Path) -> None:
    (tmp_path / "o.opml").write_text(f'<opml><body><outline xmlUrl="{A}"/></body></opml>')
    (tmp_path / "l.txt").write_text(B)
    said = earshot("register", NEGATIVE, "--opml", "o.opml", "--list", "l.txt", "--output", "csv")
    assert said.code == 0
    assert next(csv.DictReader(io.StringIO(said.out)))["podcasts"] == "3"


def test_duplicates_alone_are_no_failure(earshot: Earshot, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(f"{A}\n{A}\n")
    said = earshot("register", "--list", "l.txt")
    assert said.code == 0 and "l.txt:2: duplicate" in said.err


def test_a_file_that_cannot_be_used_does_not_stop_the_others(earshot: Earshot, tmp_path: Path) -> None:
    (tmp_path / "bad.opml").write_text("<rss/>")
    (tmp_path / "l.txt").write_text(A)
    said = earshot("register", "--opml", "bad.opml", "--list", "l.txt")
    assert said.code == 3 and "refused: bad.opml: not OPML" in said.err
    assert earshot("register", "--opml", "bad.opml").code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["register"], "name URLs"),
        (["deregister"], "name URLs"),
        (["register", "--csv", "missing.csv"], "no such file: missing.csv"),
        (["register", "--csv", "."], "is a folder"),
        (["register", A, "--tenant", "two words"], "tenant 'two words'"),
        (["register", A, "--label", "a/b"], "label 'a/b'"),
        (["list", "--state", "asleep"], "asleep"),
        (["list", "--host", "https://a.example.com"], "no host such as"),
        (["list", "--host", "a.example.com:80"], "no host such as"),
        (["list", "--host", "a.example.com/feed"], "no host such as"),
        (["list", "--host", "two words"], "no host such as"),
    ],
)
def test_wrong_usage_is_told(earshot: Earshot, arguments: list[str], message: str) -> None:
    earshot("register", A)
    said = earshot(*arguments)
    assert said.code == 2 and message in said.err


def test_nothing_usable_is_a_failure(earshot: Earshot) -> None:
    said = earshot("register", "ftp://x")
    assert said.code == 1 and "ftp://x: bad_url" in said.err


def test_a_tenant_leaves_by_url_key_or_file(earshot: Earshot, tmp_path: Path) -> None:
    assert podcast_key(NEGATIVE) < 0
    earshot("register", A, B, NEGATIVE)
    (tmp_path / "l.txt").write_text(B)
    said = earshot(
        "deregister",
        A,
        podcast_key(NEGATIVE),
        "--list",
        "l.txt",
        "--reason",
        "moved away",
        "--output",
        "json",
    )
    assert (said.code, counts(said)) == (0, {"registrations": 3, "podcasts": 3})
    rows = earshot("list", "--state", "deregistered", "--output", "json").rows
    assert {row["reason"] for row in rows} == {"moved away"} and len(rows) == 3


def test_what_is_not_tracked_cannot_be_left(earshot: Earshot) -> None:
    earshot("register", A, "--tenant", "acme")
    said = earshot("deregister", A, B, "--tenant", "acme")
    assert said.code == 3 and f"{B}: not_tracked" in said.err
    assert earshot("deregister", B).code == 1


def test_to_leave_what_one_does_not_track_is_no_failure_but_told(earshot: Earshot) -> None:
    earshot("register", A, "--tenant", "acme")
    said = earshot("deregister", A, "--tenant", "acmee")
    assert said.code == 0 and "1 of them are not tracked by acmee" in said.err


def test_a_guid_of_several_podcasts_is_not_enough_to_leave(earshot: Earshot, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"url,guid\n{A},{GUID}\n{B},{GUID}\n")
    earshot("register", "--csv", "s.csv")
    said = earshot("deregister", GUID)
    assert said.code == 1 and str(KEY_A) in said.err and str(KEY_B) in said.err


def test_the_listing_is_filtered_and_paged(earshot: Earshot) -> None:
    earshot("register", *(f"https://one.example.com/{n}" for n in range(60)), "--label", "lead")
    earshot("register", B, "--tenant", "acme")
    assert [row["feed_url"] for row in earshot("list", "--tenant", "acme", "--output", "json").rows] == [B]
    assert len(earshot("list", "--label", "lead", "--output", "json").rows) == 60
    nowhere = ("list", "--host", "nowhere.example.com")
    assert earshot(*nowhere, "--output", "json").rows == []
    assert earshot(*nowhere).out == "" and "no podcast is like that" in earshot(*nowhere).err
    assert len(earshot("list", "--host", "ONE.example.com.", "--output", "json").rows) == 60
    lines = earshot("list", "--output", "csv").out.splitlines()
    assert len(lines) == 62
    table = earshot("list", "--host", "one.example.com")
    assert table.out.count("https://one.example.com/") == 50 and "--after" in table.err
    keys = [int(str(row["podcast_key"])) for row in earshot("list", "--limit", 5, "--output", "json").rows]
    behind = earshot("list", f"--after={keys[-1]}", "--limit", 1, "--output", "json").rows
    assert int(str(behind[0]["podcast_key"])) > keys[-1]


def test_status_finds_a_podcast_by_whatever_names_it(earshot: Earshot, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"url,guid,itunes_id\n{A},{GUID},1234567890\n{NEGATIVE},,\n")
    earshot("register", "--csv", "s.csv", "--label", "lead")
    for name in (KEY_A, A, GUID, 1234567890):
        said = earshot("status", name)
        assert said.code == 0
        assert "not polled yet" in said.out and "default: lead" in said.out
    assert earshot("status", podcast_key(NEGATIVE)).code == 0
    (row,) = earshot("status", A, "--output", "json").rows
    assert (row["podcast_key"], row["podcast_guid"], row["crawl"]) == (KEY_A, GUID, None)


def test_status_names_what_is_not_tracked(earshot: Earshot) -> None:
    earshot("register", A)
    said = earshot("status", B)
    assert said.code == 1 and f"not tracked: {B}" in said.err
    assert earshot("status", A, B).code == 3


def test_status_of_a_guid_that_many_claim_shows_some_of_them(earshot: Earshot, tmp_path: Path) -> None:
    urls = [f"https://claims.example.com/{n},{GUID}" for n in range(60)]
    (tmp_path / "s.csv").write_text("\n".join(["url,guid", *urls]))
    earshot("register", "--csv", "s.csv")
    said = earshot("status", GUID)
    assert said.out.count("not polled yet") == 50
    assert f"{GUID} means 60 podcasts, of which 50 are shown" in said.err
    assert len(earshot("status", GUID, "--output", "json").rows) == 60


def test_a_table_says_why_a_podcast_is_not_active(earshot: Earshot, url: str, tmp_path: Path) -> None:
    earshot("register", A)
    engine = connect(url, tmp_path)
    record_crawl(engine, [Crawled(KEY_A, state=PodcastState.DEAD, reason="dns")])
    engine.dispose()
    assert "dead: dns" in earshot("list").out
    assert "dns" in earshot("status", A).out


def test_a_registry_that_fails_is_told_without_its_statement(
    earshot: Earshot, url: str, tmp_path: Path
) -> None:
    engine = connect(url, tmp_path)
    with writing(engine) as connection:
        connection.execute(text("drop table registrations"))
    engine.dispose()
    said = earshot("register", A)
    assert said.code == 1 and "the registry failed: " in said.err
    assert "insert into" not in said.err.lower()


def test_asking_does_not_create_a_registry(typed: Earshot, tmp_path: Path) -> None:
    for command in (["list"], ["status", A], ["deregister", A]):
        said = typed(*command)
        assert said.code == 1 and "nothing is registered" in said.err
    assert not (tmp_path / "data").exists()


def test_without_a_setting_the_registry_is_in_the_data_folder(typed: Earshot, tmp_path: Path) -> None:
    assert typed("register", A).code == 0
    assert (tmp_path / "data" / FILE_NAME).is_file()


def test_a_setting_that_cannot_be_used_is_told(typed: Earshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_REGISTRY", "postgresql://u:s3cret@127.0.0.1:1/db")
    said = typed("list")
    assert said.code == 2 and "EARSHOT_REGISTRY" in said.err and "s3cret" not in said.err


def test_status_tells_what_directories_say_otherwise(earshot: Earshot, url: str, tmp_path: Path) -> None:
    earshot("register", A)
    engine = connect(url, tmp_path)
    with writing(engine) as connection:
        found = Finding(KEY_A, "apple", "feed_url", A, B, FindingReason.OTHER_URL, 1, 2)
        replace_findings(connection, [(KEY_A, "apple")], [found])
    engine.dispose()
    assert f"apple has feed_url {B}, we have {A} (other_url, for " in earshot("status", A).out
    (row,) = earshot("status", A, "--output", "json").rows
    (told,) = row["findings"]  # type: ignore[misc, attr-defined]
    assert (told["theirs"], told["reason"]) == (B, "other_url")


def test_a_sweep_takes_the_notices_that_wait(earshot: Earshot, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "landing" / "hints" / "podping"
    folder.mkdir(parents=True)
    (folder / "1.jsonl").write_text(json.dumps({"iris": [A, B]}) + "\nnot json\n")
    (tmp_path / "data" / "feed_sources.toml").write_text("[podping]\nsettle_s = 0\n")
    said = earshot("sweep", "--output", "json")
    assert said.code == 0 and said.rows[0]["polled"] == 0
    assert "notices: 2 in 1 files, 0 of tracked podcasts" in said.err
    assert "not used: podping/1.jsonl:2: not_json: 'not json'" in said.err
    (tmp_path / "data" / "feed_sources.toml").write_text("[podpings]\n")
    said = earshot("sweep", "--output", "json")
    assert said.code == 0 and "no notice is taken in: feed_sources.toml: there is no source" in said.err


def test_a_password_in_a_url_is_refused_without_being_shown_or_kept(earshot: Earshot, tmp_path: Path) -> None:
    said = earshot("register", "https://bob:s3cret@example.com/feed", "--rejects", "refused.csv")
    assert "bad_url" in said.err and "***@example.com" in said.err
    assert "s3cret" not in said.err + said.out + (tmp_path / "refused.csv").read_text()


def test_what_list_writes_as_csv_can_be_registered_elsewhere(earshot: Earshot, tmp_path: Path) -> None:
    earshot("register", A, B, "--label", "lead")
    earshot("deregister", B)
    assert B not in earshot("list", "--output", "csv").out
    written = earshot("list", "--state", "all", "--output", "csv").out
    assert B in written
    (tmp_path / "all.csv").write_text(written)
    earshot("deregister", A)
    said = earshot("register", "--csv", "all.csv", "--output", "json")
    assert json.loads(said.out)[0]["returned"] == 2
