"""`earshot lists` and what `earshot doctor` says of the lists, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from earshot.doctor import examine
from earshot.finding import Finding, Verdict
from ingest.reference.refresh import refresh
from ingest.reference.store import ListStore
from ingest.settings import Settings
from tests.ingest.list_server import ListServer, serving
from tests.ingest.samples import nginx, settings_of

OFF = "[agents]\nuse = false\n[prefixes]\nuse = false\n"


@pytest.fixture
def server() -> Iterator[ListServer]:
    with serving() as found:
        yield found


def set_up(settings: Settings, server: ListServer, body: str) -> None:
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / "reference.toml").write_text(f'{OFF}[datacenters]\nurl = "{server.url}/dc"\n')
    server.put("/dc", body)


def earshot(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**own, "EARSHOT_DATA": str(settings.data), "COLUMNS": "160"},
    )


def test_a_refresh_shows_what_is_in_use_and_ends_with_1_when_a_list_was_refused(
    tmp_path: Path, server: ListServer
) -> None:
    settings = settings_of(tmp_path)
    set_up(settings, server, "198.51.100.0/24\n203.0.113.0/24\n")
    done = earshot(settings, "lists", "refresh")
    assert done.returncode == 0, done.stderr
    version = str(ListStore.of(settings).current("datacenters"))
    (row,) = [line for line in done.stdout.splitlines() if "datacenters" in line]
    assert version in row and f"{server.url}/dc" in row and "│ yes" in row
    assert "datacenters updated" in done.stderr
    server.put("/dc", "0.0.0.0/0\n")
    done = earshot(settings, "lists", "refresh", "datacenters")
    assert done.returncode == 1
    assert "datacenters refused: datacenters: 1-dc: line 1: '0.0.0.0/0' is wider than a /8" in done.stderr
    assert version in done.stdout
    shown = earshot(settings, "lists")
    assert shown.returncode == 0 and version in shown.stdout and "datacenters refused" in shown.stderr


def test_all_versions_are_listed_on_request(tmp_path: Path, server: ListServer) -> None:
    settings = settings_of(tmp_path)
    for body in ("198.51.100.0/24", "203.0.113.0/24"):
        set_up(settings, server, body)
        refresh(settings)
    old, new = ListStore.of(settings).versions("datacenters")
    few, every = earshot(settings, "lists").stdout, earshot(settings, "lists", "--all").stdout
    assert new in few and old not in few
    (row,) = [line for line in every.splitlines() if old in line]
    assert new in every and "yes" not in row


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lists", "refresh", "robots"), "there is no list 'robots'; allowed are agents, prefixes"),
        (("lists", "refresh", "--accept", "robots"), "there is no list 'robots'"),
    ],
)
def test_a_list_there_is_not_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = earshot(settings_of(tmp_path), *arguments)
    assert done.returncode == 2 and told in done.stderr


def test_a_mistake_in_the_settings_stops_every_command_that_needs_the_lists(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir()
    (settings.data / "reference.toml").write_text("[agents]\nmax_age = 3\n")
    log = tmp_path / "a.log"
    log.write_text(nginx())
    for arguments in (("lists",), ("lists", "refresh"), ("count", str(log))):
        done = earshot(settings, *arguments)
        assert done.returncode == 2
        assert "reference.toml [agents]: unknown 'max_age'; allowed are url, urls, path" in done.stderr


def test_count_uses_the_lists_of_the_installation_and_leaves_its_store_alone(
    tmp_path: Path, server: ListServer
) -> None:
    settings = settings_of(tmp_path)
    set_up(settings, server, "203.0.113.0/24\n")
    refresh(settings)
    before = sorted(settings.data.rglob("*"))
    log = tmp_path / "a.log"
    log.write_text(nginx(ua="NobodyKnowsThis/1"))
    done = earshot(settings, "count", str(log), "--explain", "--output", "json")
    assert done.returncode == 0, done.stderr
    explanation = json.loads(done.stderr[: done.stderr.rindex("}") + 1])
    assert explanation["by_class"]["server_log"]["excluded"] == {"datacenter": 1}
    used = next(row for row in explanation["lists"] if row["list"] == "datacenters")
    assert used["version"] == ListStore.of(settings).current("datacenters")
    assert used["origin"] and used["fetched_on"]
    assert sorted(settings.data.rglob("*")) == before


def findings(settings: Settings) -> list[Finding]:
    return [finding for finding in examine(settings) if finding.what in ("reference lists", "lists refused")]


def test_doctor_tells_of_lists_that_are_ours_only(tmp_path: Path) -> None:
    (finding,) = findings(settings_of(tmp_path))
    assert finding.verdict is Verdict.ODD
    assert "our own small ones: agents" in finding.found and "earshot lists refresh" in finding.advice


def test_doctor_tells_of_refused_lists_and_of_a_broken_store(tmp_path: Path, server: ListServer) -> None:
    settings = settings_of(tmp_path)
    set_up(settings, server, "198.51.100.0/24\n")
    refresh(settings)
    server.put("/dc", "nonsense")
    refresh(settings)
    _, refused = findings(settings)
    assert refused.verdict is Verdict.WRONG and "no address range: 'nonsense'" in refused.found
    store = ListStore.of(settings)
    file = store.root / "datacenters" / str(store.current("datacenters")) / "1-dc"
    file.write_text("0.0.0.0/0")
    (broken,) = findings(settings)
    assert broken.verdict is Verdict.WRONG and f"{file} is damaged" in broken.found
    assert "nothing is lost" in broken.advice
