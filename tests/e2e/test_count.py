"""`earshot count`, as a data engineer types it, against the world's own truth."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from earshot.count import Explanation, Lines
from earshot.made_up import world as worlds
from earshot.show_count import show_explanation

# Listener keys of the platform change on 2026-09-04 (day 20,700 = 690 x 30): the world spans that.
SPEC = {"shows": 12, "days": 5, "lines": 6_000}
FORMATS = ["cloudfront", "cloudfront_v2", "nginx", "caddy"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[worlds.World, Path]:
    """One world whose server traffic is written in every format, and its catalogue."""
    folder = tmp_path_factory.mktemp("world")
    world = worlds.build(worlds.WorldSpec(formats=tuple(FORMATS), **SPEC))
    worlds.write(world, folder / "landing")
    worlds.write_catalog(world, folder / "episodes.csv")
    return world, folder


def files_of(folder: Path, log_format: str) -> list[str]:
    source = {"cloudfront": "cdn", "prefix": "prefix"}.get(log_format, f"cdn-{log_format}")
    return sorted(str(path) for path in (folder / "landing" / source).iterdir())


def earshot(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def count(*arguments: str) -> list[dict[str, Any]]:
    done = earshot("count", *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def true_downloads(world: worlds.World, source_class: str, window: str) -> dict[str, int]:
    return {
        episode: downloads
        for (klass, episode, rule), downloads in world.truth.downloads.items()
        if klass == source_class and rule == window
    }


@pytest.mark.parametrize("log_format", [*FORMATS, "prefix"])
def test_downloads_of_each_episode_equal_the_truth(world: tuple[worlds.World, Path], log_format: str) -> None:
    made, folder = world
    source_class = "prefix" if log_format == "prefix" else "server_log"
    rows = count(*files_of(folder, log_format), "--episodes", str(folder / "episodes.csv"))
    counted = {row["episode_id"]: row["downloads"] for row in rows if row["downloads"]}
    assert counted == true_downloads(made, source_class, "calendar")
    listeners = {(source_class, row["episode_id"]): row["listeners"] for row in rows if row["listeners"]}
    assert listeners == {key: n for key, n in made.truth.listeners.items() if key[0] == source_class}
    assert {row["show_id"] for row in rows} == {made.truth.show_of[row["episode_id"]] for row in rows}


@pytest.mark.parametrize("window", ["first_touch", "last_touch"])
def test_rolling_windows_equal_the_truth(world: tuple[worlds.World, Path], window: str) -> None:
    made, folder = world
    rows = count(*files_of(folder, "nginx"), "--episodes", str(folder / "episodes.csv"), "--window", window)
    counted = {row["episode_id"]: row["downloads"] for row in rows if row["downloads"]}
    assert counted == true_downloads(made, "server_log", window)


def test_explain_adds_up_to_the_lines_of_the_files_by_class(
    world: tuple[worlds.World, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = world
    files = [*files_of(folder, "cloudfront"), *files_of(folder, "prefix")]
    done = earshot(
        "count", *files, "--episodes", str(folder / "episodes.csv"), "--explain", "--output", "json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr[done.stderr.index("{\n") : done.stderr.rindex("}\n") + 2])
    lines = sum(len(worlds_lines(Path(file))) for file in files)
    assert sum(of["lines"] for of in told["by_class"].values()) + told["copied_lines"] == lines
    again = {source: made.truth.redelivered_in_copies[source] for source in ("cdn", "prefix")}
    assert sum(again.values()) <= told["copied_lines"]
    assert f"note: {len(told['copies'])} files are copies of another, not counted again" in done.stderr
    parts = ["directives", "rejects", "redelivered", "downloads"]
    for source, source_class in (("cdn", "server_log"), ("prefix", "prefix")):
        of = told["by_class"][source_class]
        assert sum(of[part] for part in parts) + sum(of["excluded"].values()) == of["lines"]
        assert of["rejects"] == made.truth.rejects[source]
        assert of["redelivered"] == made.truth.redelivered[source] - again[source] > 0
        truth = made.truth.requests[source_class]
        by_reason = defaultdict(int, of["excluded"])
        window_level = by_reason.pop("below_threshold", 0) + by_reason.pop("duplicate", 0)
        assert window_level + of["downloads"] == truth["qualifying"]
        assert dict(by_reason) == {reason: n for reason, n in truth.items() if reason != "qualifying" and n}
        assert (
            f"{source_class}: {of['lines'] - of['directives']:,} lines = {of['downloads']:,}" in done.stderr
        )

    monkeypatch.setenv("COLUMNS", "80")
    told["by_class"] = {name: Lines(**of) for name, of in told["by_class"].items()}
    show_explanation(Explanation(**told), "table")
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines()) and str(folder) not in out
    assert [row["reason"].partition(":")[0] for row in told["rejects_by_file"]].count("too few fields") > 1
    assert out.count("too few fields") == 1
    assert "built in" in out  # where the lists are from


def worlds_lines(path: Path) -> list[bytes]:
    from isal import igzip

    return igzip.decompress(path.read_bytes()).splitlines()


def test_the_parts_of_every_grouping_sum_to_the_same_downloads(world: tuple[worlds.World, Path]) -> None:
    made, folder = world
    files, episodes = files_of(folder, "caddy"), str(folder / "episodes.csv")
    wanted = made.truth.total("server_log", "calendar")
    for by, keys in {"show": ["show_id"], "app": ["app"]}.items():
        rows = count(*files, "--episodes", episodes, "--by", by)
        assert sum(row["downloads"] for row in rows) == wanted, by
        assert set(rows[0]) == {"source_class", *keys, "downloads", "listeners", "requests", "bytes"}


def test_without_episodes_enclosures_count_under_their_url(world: tuple[worlds.World, Path]) -> None:
    _, folder = world
    rows = count(files_of(folder, "nginx")[0])
    assert rows
    assert all(row["episode_id"].startswith("https://") and row["show_id"] is None for row in rows)


def test_csv_has_a_header_and_a_row_an_episode(world: tuple[worlds.World, Path]) -> None:
    _, folder = world
    done = earshot("count", files_of(folder, "nginx")[0], "--output", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows and list(rows[0])[:3] == ["source_class", "show_id", "episode_id"]


def test_a_bad_file_is_named_with_its_reason_and_the_others_count(
    world: tuple[worlds.World, Path], tmp_path: Path
) -> None:
    _, folder = world
    bad = tmp_path / "bad.log"
    bad.write_text("#Version: 1.0\n#Fields: date time c-ip\n2026-09-01\t00:00:00\t192.0.2.1\n")
    done = earshot("count", str(bad), files_of(folder, "nginx")[0], "--output", "json")
    assert done.returncode == 3
    assert "bad.log" in done.stderr and "cs-uri-stem" in done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.gz"], 2, "no such file: nowhere.gz"),
        (["{folder}"], 2, "is a folder: name its files"),
        (["{pipe}"], 2, "is a pipe or device"),
        (["{file}", "--by", "month"], 2, "episode, show, day, app, country"),
        (["{file}", "--output", "xml"], 2, "'csv'"),
        (["{file}", "--format", "apache"], 2, "cloudfront"),
        (["{file}", "--class", "prefix"], 1, "nginx"),
        (["{empty}"], 1, "empty"),
        (["{file}", "--episodes", "{empty}"], 1, "empty.csv"),
    ],
)
def test_wrong_usage_ends_with_one_plain_message(
    world: tuple[worlds.World, Path], tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    _, folder = world
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    os.mkfifo(pipe := tmp_path / "pipe.gz")
    given = {"file": files_of(folder, "nginx")[0], "empty": empty, "folder": tmp_path, "pipe": pipe}
    filled = [a.format(**given) for a in arguments]
    done = earshot("count", *filled)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
