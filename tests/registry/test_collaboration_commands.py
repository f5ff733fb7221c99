"""`earshot collaboration add`, `import`, `list`, `show` and `end`, as typed, on both databases."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.feeds.urls import podcast_key
from ingest.lake import Lake
from ingest.retention import expire
from ingest.schema import DAY_US
from tests.dbt.feed_lakes import request
from tests.dbt.lakes import add_file
from tests.registry.collaboration_rows import KEY_A, KEY_B, A, B, C, polled
from tests.registry.command_line import Earshot, Said

D = "https://d.example.com/feed.xml"
NEGATIVE = "https://example.com/2"  # a URL with a key below zero


def ago(days: float) -> str:
    """An ISO time so many days ago, to the second."""
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


AIRED, STARTS = ago(20), ago(10)


@pytest.fixture
def tracking(earshot: Earshot, tmp_path: Path) -> Earshot:
    """… that tracks A, B, C and D, and has read B."""
    earshot("register", A, B, C, D, NEGATIVE)
    polled(tmp_path / "data" / "lake", B, {"g1": AIRED.removesuffix("Z"), "g2": None}, title="Night Bus")
    return earshot


def added(earshot: Earshot, *arguments: str | int) -> Said:
    return earshot("collaboration", "add", A, B, "--type", "guest_swap", *arguments)


def listed(earshot: Earshot, *arguments: str | int) -> list[dict[str, object]]:
    return earshot("collaboration", "list", *arguments, "--output", "json").rows


def test_one_is_recorded_and_shown(tracking: Earshot) -> None:
    said = added(
        tracking, "--episode", "g1", "--starts", STARTS, "--cost", "250", "--currency", "EUR",
        "--notes", "a swap", "--tenant", "acme", "--output", "json",
    )  # fmt: skip
    (row,) = said.rows
    assert said.code == 0 and row["outcome"] == "added"
    (shown,) = tracking("collaboration", "show", 1, "--output", "json").rows
    assert shown == {
        "id": 1,
        "tenant": "acme",
        "type": "guest_swap",
        "show": A,
        "show_title": None,
        "show_key": str(KEY_A),
        "partner": B,
        "partner_title": "Night Bus",
        "partner_key": str(KEY_B),
        "episode": "g1",
        "inserted": STARTS,
        "starts": STARTS,
        "ends": None,
        "measured_until": shown["measured_until"],
        "cost": 250.0,
        "currency": "EUR",
        "notes": "a swap",
        "state": "active",
        "ended": None,
        "created": shown["created"],
        "episode_title": "Episode g1",
        "episode_aired": AIRED,
    }
    assert listed(tracking) == [{key: shown[key] for key in shown if not key.startswith("episode_")}]


def test_shows_are_named_by_url_key_or_guid(tracking: Earshot) -> None:
    key = podcast_key(NEGATIVE)
    assert key < 0
    said = tracking("collaboration", "add", key, "b.example.com/feed.xml", "--type=other", "--starts", STARTS)
    assert said.code == 0, said.err
    assert [row["show"] for row in listed(tracking, "--show", key)] == [NEGATIVE]
    assert listed(tracking, "--partner", A) == []
    guid = "917393e3-1b1e-5cef-ace4-edaa54e1f810"
    Path("guids.csv").write_text(f"url,guid\n{D},{guid}\n")
    tracking("register", "--csv", "guids.csv")
    said = tracking("collaboration", "add", guid, C, "--type", "other", "--starts", STARTS)
    assert said.code == 0 and listed(tracking, "--show", guid)[0]["show"] == D


def test_the_same_again_changes_nothing_and_what_is_new_is_taken_over(tracking: Earshot) -> None:
    first = added(tracking, "--episode", "g1", "--output", "json").rows[0]
    again = added(tracking, "--episode", "g1", "--output", "json").rows[0]
    assert (first["outcome"], again) == ("added", first | {"outcome": "known"})
    priced = added(tracking, "--episode", "g1", "--cost", "9.5", "--currency", "USD", "--output", "json")
    assert (priced.rows[0]["outcome"], priced.rows[0]["cost"]) == ("changed", 9.5)
    assert len(listed(tracking)) == 1


def test_mutual_and_overlapping_ones_are_allowed(tracking: Earshot) -> None:
    for one, other in ((A, B), (B, A), (A, C)):
        assert tracking("collaboration", "add", one, other, "--type", "other", "--starts", STARTS).code == 0
    assert len(listed(tracking)) == 3


def test_the_table_shows_what_people_ask_for(tracking: Earshot) -> None:
    said = added(tracking, "--episode", "g1", "--cost", "1250", "--currency", "EUR")
    assert "added" in said.out and "1,250.00 EUR" in said.out
    table = tracking("collaboration", "list").out
    shown = (
        "guest swap",
        A.removeprefix("https://"),
        "Night Bus",
        "g1",
        AIRED[:10],
        "1,250.00 EUR",
        "active",
    )
    assert all(part in table for part in shown)
    assert "Episode g1" in tracking("collaboration", "show", 1).out
    rows = list(csv.DictReader(io.StringIO(tracking("collaboration", "list", "--output", "csv").out)))
    assert [(row["id"], row["cost"]) for row in rows] == [("1", "1250.0")]


def test_the_table_shows_the_last_day_of_an_exposure(tracking: Earshot) -> None:
    last, day_after = ago(3)[:10], ago(2)[:10]
    added(tracking, "--starts", STARTS, "--ends", last)
    assert last in tracking("collaboration", "list").out
    assert listed(tracking)[0]["ends"] == f"{day_after}T00:00:00Z"  # exclusive


def test_where_there_is_none_it_is_said(tracking: Earshot) -> None:
    assert "there is none: `earshot collaboration add" in tracking("collaboration", "list").err
    assert tracking("collaboration", "list", "--output", "json").rows == []
    assert tracking("collaboration", "list", "--output", "csv").out.startswith("id,")


def test_an_episode_of_a_show_that_was_never_read_is_taken_with_a_note(tracking: Earshot) -> None:
    arguments = ("collaboration", "add", A, C, "--type", "feed_drop", "--episode", "x")
    assert "--starts" in tracking(*arguments).err
    said = tracking(*arguments, "--starts", STARTS)
    assert said.code == 0 and "note: " in said.err and "never read yet" in said.err
    assert "never read yet" in tracking("collaboration", "show", 1).err


@pytest.mark.parametrize(
    ("arguments", "option", "message"),
    [
        ((), "--episode", "missing: name an episode"),
        (("--episode", "g3"), "--episode", "unknown_episode"),
        (("--episode", "g2"), "--starts", "missing: when the episode aired"),
        (("--starts", "2099-01-01"), "--starts", "far_future"),
        (("--starts", STARTS, "--ends", ago(11)), "--ends", "ends_before_start"),
        (("--starts", STARTS, "--cost", "5"), "--currency", "no_currency"),
        (("--starts", STARTS, "--cost", "-5", "--currency", "EUR"), "--cost", "bad_cost"),
        (("--starts", STARTS, "--cost", "5", "--currency", "QQQ"), "--currency", "bad_currency"),
        (("--starts", STARTS, "--tenant", "a b"), "--tenant", "bad_value"),
    ],
)
def test_what_is_refused_names_the_option_and_the_problem(
    tracking: Earshot, arguments: tuple[str, ...], option: str, message: str
) -> None:
    said = added(tracking, *arguments)
    assert (said.code, said.out) == (2, "")
    assert option in said.err and message in said.err
    assert listed(tracking) == []


def test_a_show_with_itself_or_unknown_is_refused(tracking: Earshot) -> None:
    said = tracking("collaboration", "add", A, str(KEY_A), "--type", "other", "--starts", STARTS)
    assert said.code == 2 and "PARTNER" in said.err and "same_show" in said.err
    said = tracking("collaboration", "add", "https://x.example.com/", B, "--type", "other")
    assert said.code == 2 and "SHOW" in said.err and "`earshot register URL`" in said.err


def test_a_short_retention_is_refused_with_the_setting(
    tracking: Earshot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "c.csv").write_text(f"show,partner,type,starts\n{A},{B},other,{STARTS}\n" * 2)
    monkeypatch.setenv("EARSHOT_KEEP_DAYS", "183")
    for said in (added(tracking, "--episode", "g1"), tracking("collaboration", "import", "c.csv")):
        assert said.code == 2 and "set EARSHOT_KEEP_DAYS to 184 or more" in said.err
        assert said.err.count("short_retention") == 1
    assert listed(tracking) == []
    monkeypatch.setenv("EARSHOT_KEEP_DAYS", "0")
    assert added(tracking, "--episode", "g1").code == 0


def test_exposure_before_the_data_begin_is_refused(tracking: Earshot, tmp_path: Path) -> None:
    first = ago(15)[:10]
    (tmp_path / "data" / "lake" / "requests" / f"day={first}").mkdir()
    said = added(tracking, "--episode", "g1")
    assert said.code == 2 and "before_data" in said.err and first in said.err
    assert added(tracking, "--episode", "g1", "--starts", STARTS).code == 0


def test_what_was_counted_before_its_requests_went_is_data_too(tracking: Earshot, tmp_path: Path) -> None:
    """Long final, and told again with its cost: the marts still have what it was measured by."""
    lake = Lake(tmp_path / "data" / "lake")
    now_us = int(datetime.now(UTC).timestamp() * 1_000_000)
    add_file(lake, "1" * 32, [request("x", 1, now_us - days * DAY_US) for days in (300, 15)])
    counted = [(row["source"], row["file_id"]) for row in lake.ledger().iter_rows(named=True)]
    assert expire(lake, 184, now_us, counted).days == 1
    told = ("--starts", ago(250)[:10], "--ends", ago(240)[:10])
    assert added(tracking, *told).code == 0
    said = added(tracking, "--starts", ago(310)[:10])
    assert said.code == 2 and "before_data" in said.err and ago(300)[:10] in said.err


HEADER = "partner,show,type,episode,starts,ends,cost,currency,notes,tenant,colour\n"


def test_a_file_is_taken_in_and_what_is_refused_is_told_by_line(tracking: Earshot, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        HEADER
        + f'{B},{A},guest_swap,g1,,,250,EUR,"two\nlines",acme,red\n'  # lines 2 and 3
        + f"{A},{A},guest_swap,g1\n"
        + f"{B},{A},host_read,,{STARTS},,,EUR\n"
        + "\n"
        + f"{B},{A},guest_swap,g9\n"
        + f"{B},{A},guest_swap,g1,,,250,,,acme\n"
        + f"{C},{A},other,x,{STARTS}\n"
        + f"{B},{A},other,,x,x,x,x,x,x,x,x\n"
        + f'{B},{A},guest_swap,g1,,,250,EUR,"two\nlines",acme\n'
    )
    said = tracking("collaboration", "import", "c.csv", "--rejects", "r.csv", "--output", "json")
    assert said.code == 3
    assert said.rows == [{"added": 3, "changed": 0, "known": 1}]
    for told in (
        "c.csv:4: same_show: partner: ",
        "c.csv:7: unknown_episode: episode: ",
        "c.csv:8: no_currency: currency: ",
        "c.csv:10: bad_line: more fields than columns",
        f"c.csv:9: {C} was never read yet",
    ):
        assert told in said.err, told
    kept = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert [(row["line"], row["reason"]) for row in kept] == [
        ("4", "same_show"), ("7", "unknown_episode"), ("8", "no_currency"), ("10", "bad_line")
    ]  # fmt: skip
    assert {(row["type"], row["tenant"], row["notes"]) for row in listed(tracking)} == {
        ("guest_swap", "acme", "two\nlines"),
        ("host_read", "default", None),
        ("other", "default", None),
    }
    again = tracking("collaboration", "import", "c.csv", "--output", "json")
    assert again.rows == [{"added": 0, "changed": 0, "known": 4}]


def test_what_was_listed_as_csv_can_be_imported_elsewhere(tracking: Earshot, tmp_path: Path) -> None:
    added(tracking, "--starts", STARTS, "--ends", ago(-30), "--cost", "5", "--currency", "EUR")
    added(tracking, "--episode", "g1", "--notes", "it aired with it")
    (tmp_path / "c.csv").write_text(tracking("collaboration", "list", "--output", "csv").out)
    assert tracking("collaboration", "import", "c.csv", "--output", "json").rows[0]["known"] == 2


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("", 1, "c.csv is empty"),
        ("show,type\n", 1, "column 'partner' is missing"),
        ("a;b;c\n", 1, "column 'show' is missing"),
        ("show,partner,type,type\n", 1, "'type' stands there twice"),
        ("show,partner,type\n\udcff,b,other\n", 1, "not UTF-8"),
        ("show,partner,type\n", 0, "no lines below its header"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(
    tracking: Earshot, tmp_path: Path, content: str, code: int, message: str
) -> None:
    (tmp_path / "c.csv").write_bytes(content.encode(errors="surrogateescape"))
    said = tracking("collaboration", "import", "c.csv")
    assert said.code == code and message in said.err


def test_a_file_that_is_not_there_is_told(tracking: Earshot) -> None:
    assert "no such file" in tracking("collaboration", "import", "nowhere.csv").err
    assert "is a folder" in tracking("collaboration", "import", ".").err


def test_one_is_ended_or_declared_void(tracking: Earshot) -> None:
    added(tracking, "--episode", "g1")
    added(tracking, "--starts", STARTS)
    at = ago(2)
    (row,) = tracking("collaboration", "end", 1, "--at", at, "--output", "json").rows
    assert row == {"id": "1", "state": "ended", "ended": at}
    assert tracking("collaboration", "end", 2, "--void").code == 0
    assert [row["id"] for row in listed(tracking)] == [1]
    assert [row["id"] for row in listed(tracking, "--state", "void")] == [2]
    assert len(listed(tracking, "--state", "all")) == 2
    assert at[:10] in tracking("collaboration", "list").out
    said = tracking("collaboration", "end", 1, "--at", "2099-01-01")
    assert said.code == 0 and at in said.out  # it has ended: nothing to do


def test_one_cannot_be_ended_ahead_of_time(tracking: Earshot) -> None:
    added(tracking, "--episode", "g1")
    said = tracking("collaboration", "end", 1, "--at", "2099-01-01")
    assert said.code == 2 and "--at" in said.err and "ahead of time" in said.err


@pytest.mark.parametrize("command", ["show", "end"])
def test_an_unknown_id_is_told(tracking: Earshot, command: str) -> None:
    said = tracking("collaboration", command, 7)
    assert (said.code, said.err.strip()) == (1, "error: there is no collaboration 7")


def test_without_a_registry_nothing_is_made(typed: Earshot, tmp_path: Path) -> None:
    for arguments in (("list",), ("show", 1), ("add", A, B, "--type", "other")):
        assert "nothing is registered" in typed("collaboration", *arguments).err
    assert not (tmp_path / "data" / "registry.db").exists()


def test_a_show_is_named_by_its_title_or_show_id_too(tracking: Earshot, tmp_path: Path) -> None:
    Path("shows.csv").write_text(f"url,show_id\n{D},show-d\n")
    tracking("register", "--csv", "shows.csv")
    said = tracking("collaboration", "add", "show-d", "night  BUS", "--type", "other", "--starts", STARTS)
    assert said.code == 0, said.err
    (row,) = listed(tracking, "--show", "show-d", "--partner", "Night Bus")
    assert (row["show"], row["partner"]) == (D, B)
    wrong = tracking("collaboration", "add", "show-d", "Night Bsu", "--type", "other", "--starts", STARTS)
    assert wrong.code == 2 and "alike are Night Bus" in wrong.err and "`earshot register URL`" in wrong.err
    polled(tmp_path / "data" / "lake", C, {}, title="Night Bus")
    for arguments in (("add", A, "Night Bus", "--type", "other"), ("list", "--partner", "Night Bus")):
        several = tracking("collaboration", *arguments).err
        assert f"{KEY_B} (Night Bus, {B})" in several and C in several


def test_one_that_is_already_there_under_another_type_is_told(tracking: Earshot, tmp_path: Path) -> None:
    added(tracking, "--episode", "g1")
    (tmp_path / "c.csv").write_text(f"show,partner,type,episode\n{A},{B},feed_drop,g1\n")
    typed_in = tracking("collaboration", "add", A, B, "--type", "host_read", "--episode", "g1")
    imported = tracking("collaboration", "import", "c.csv")
    for said in (typed_in, imported):
        assert said.code == 0
        assert f"collaboration 1 already has {A} in this episode (guest_swap)" in said.err


def test_what_comes_next_is_told(tracking: Earshot) -> None:
    said = added(tracking, "--episode", "g1")
    assert "measured  the first 14 days, until" in said.out
    assert "within some ten minutes" in said.err and "`earshot attribution explain 1`" in said.err
    assert added(tracking, "--episode", "g1", "--output", "json").err == ""


def test_a_currency_without_a_cost_is_refused(tracking: Earshot) -> None:
    said = added(tracking, "--episode", "g1", "--currency", "EUR")
    assert said.code == 2 and "--cost" in said.err and listed(tracking) == []


def test_a_void_can_be_undone(tracking: Earshot) -> None:
    added(tracking, "--episode", "g1")
    assert tracking("collaboration", "end", 1, "--at", "2020-01-01").code == 2
    assert tracking("collaboration", "end", 1, "--void").code == 0
    assert tracking("collaboration", "restore", 1, "--output", "json").rows == [
        {"id": "1", "state": "active"}
    ]
    again = tracking("collaboration", "restore", 1)
    assert again.code == 2 and "nothing to undo" in again.err


def test_one_too_many_is_refused_and_the_others_of_a_file_are_taken_in(
    tracking: Earshot, tmp_path: Path
) -> None:
    path = tmp_path / "many.csv"
    starts = [f"{ago(10)[:14]}{minute:02}:{second:02}Z" for minute in range(4) for second in range(51)]
    lines = [f"{A},{B},other,{start}" for start in starts] + [f"{B},{A},other,{STARTS}"]
    path.write_text("\n".join(["show,partner,type,starts", *lines]))
    said = tracking("collaboration", "import", path, "--output", "json")
    assert said.code == 3 and said.rows == [{"added": 201, "changed": 0, "known": 0}]
    assert "too_many" in said.err and "200 collaborations already" in said.err
    assert len(listed(tracking, "--show", A)) == 200
    again = added(tracking, "--starts", STARTS)
    assert again.code == 2 and "too_many" in again.err
