"""Versions of reference lists: kept, opened again, mended; and which of several places goes first."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from ingest.lake import Lake
from ingest.logs.agents import OPAWG_LISTS
from ingest.logs.listeners import KeyRing
from ingest.logs.numbers import Numbers
from ingest.logs.ranges import ReferenceListError
from ingest.logs.rules import Rules
from ingest.reference.refresh import Outcome, refresh
from ingest.reference.store import ListStore
from ingest.settings import SettingError, Settings
from tests.ingest.list_server import Agents, ListServer, Page, look, put_agents, settings_for
from tests.ingest.samples import NOW_US, land, nginx, take

# --- versions

TODAY = datetime.now(UTC).date()


def test_a_list_that_comes_back_is_the_version_it_was(tmp_path: Path, server: ListServer) -> None:
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc"\n')
    versions = []
    for body in ("198.51.100.0/24", "203.0.113.0/24", "198.51.100.0/24"):
        server.put("/dc", body)
        found = look(settings, "datacenters", NOW_US + len(versions))
        assert found.outcome is Outcome.UPDATED
        versions.append(found.version)
    assert versions[0] == versions[2] != versions[1]
    store = ListStore.of(settings)
    assert store.lists() == ["datacenters"]
    assert store.versions("datacenters") == versions[:2]
    assert store.current("datacenters") == versions[0]
    origin = store.origin("datacenters", str(versions[1]))
    assert (origin.source, origin.fetched_us, origin.entries) == (f"{server.url}/dc", NOW_US + 1, 1)
    (file,) = origin.files
    assert (file.url, file.etag) == (f"{server.url}/dc", Page(b"203.0.113.0/24").tag)
    assert file.sha256 == hashlib.sha256(b"203.0.113.0/24").hexdigest()


def test_the_rules_of_every_intake_can_be_opened_again(
    of_agents: Settings, server: ListServer, agents: Agents
) -> None:
    line = nginx(ua="Newcomer/1", id="id-2")
    take(of_agents, land(of_agents, nginx() + line))
    first = Rules.load(of_agents)
    old = Lake(of_agents.lake_dir).requests().collect()["rules_version"].unique().item()
    agents["bots"].append({"name": "Newcomer", "pattern": "^Newcomer/"})
    put_agents(server, agents)
    look(of_agents, "agents")
    take(of_agents, land(of_agents, nginx(id="id-3"), name="b.log"))
    now = Rules.load(of_agents)
    assert first.versions != now.versions
    then = Rules.load(of_agents, version=old)
    assert (then.version, then.versions) == (old, first.versions)
    assert "Newcomer" not in [entry.name for entry in then.agents.lists["bots"]]
    recorded = pl.read_parquet(Lake(of_agents.lake_dir).root / "rules" / f"{old}.parquet")
    row = recorded.filter(pl.col("list") == "agents").row(0, named=True)
    assert row["origin"] == f"{server.url}/src/" and row["fetched_us"] == NOW_US and row["entries"] == 170
    mixed = Rules.load(of_agents, version=f"agents={first.versions['agents']}")
    assert mixed.versions == {**now.versions, "agents": first.versions["agents"]}


def test_lists_of_a_local_folder_and_our_own_can_be_opened_again_when_they_are_gone(
    tmp_path: Path, agents: Agents
) -> None:
    folder = tmp_path / "lists"
    (folder / "opawg").mkdir(parents=True)
    for name in OPAWG_LISTS:
        (folder / "opawg" / f"{name}.json").write_text(json.dumps({"entries": agents[name]}))
    (folder / "datacenters.txt").write_text("198.51.100.0/24\n")
    settings = Settings(data=tmp_path / "data", settle_s=0, reference_dir=folder)
    then = Rules.load(settings)
    take(settings, land(settings, nginx()))
    (folder / "datacenters.txt").write_text("203.0.113.0/24\n")
    (folder / "opawg" / "apps.json").write_text("broken")
    elsewhere = settings.model_copy(update={"reference_dir": None})
    found = Rules.load(elsewhere, version=then.version)
    assert found.versions == then.versions
    assert found.datacenters.ipv4.rows() == [(0xC6336400, 0xC63364FF)]


def test_a_version_nobody_used_is_told_with_those_there_are(of_agents: Settings) -> None:
    with pytest.raises(ReferenceListError, match="no requests were judged under version 'feedfeedfeed'"):
        Rules.load(of_agents, version="feedfeedfeed")
    with pytest.raises(
        ReferenceListError, match="version feedfeedfeed of the list agents is not kept; there are"
    ):
        Rules.load(of_agents, version="agents=feedfeedfeed")
    with pytest.raises(ReferenceListError, match="there is no list 'robots'; allowed are agents"):
        Rules.load(of_agents, version="robots=feedfeedfeed")


# --- a broken store


@pytest.mark.parametrize("what", ["damaged", "missing", "origin", "link"])
def test_a_broken_store_is_told_by_file_and_mended_by_a_refresh(
    of_agents: Settings, server: ListServer, what: str
) -> None:
    store = ListStore.of(of_agents)
    version = str(store.current("agents"))
    folder = store.root / "agents" / version
    match what:
        case "damaged":
            (folder / "apps.json").write_text("{}")
        case "missing":
            (folder / "apps.json").unlink()
        case "origin":
            (folder / "origin.json").write_text("[]")
        case "link":
            (folder / "origin.json").unlink()
    name = {"link": "current", "origin": "origin.json"}.get(what, "apps.json")
    with pytest.raises(ReferenceListError, match=name):
        Rules.load(of_agents)
    assert look(of_agents, "agents").outcome is Outcome.UPDATED
    assert Rules.load(of_agents).versions["agents"] == version


def test_what_a_killed_refresh_left_is_cleared_and_never_seen(
    of_agents: Settings, server: ListServer
) -> None:
    store = ListStore.of(of_agents)
    left = store.root / "agents" / ".new-0123456789ab"
    left.mkdir()
    (left / "apps.json").write_text("half")
    assert len(store.versions("agents")) == 1
    look(of_agents, "agents")
    assert not left.exists()


# --- local folders


def test_a_local_folder_with_a_fault_is_refused_at_start_naming_the_setting(
    tmp_path: Path, agents: Agents
) -> None:
    folder = tmp_path / "lists"
    (folder / "opawg").mkdir(parents=True)
    agents["bots"].insert(0, {"name": "Greedy", "pattern": "^Overcast"})
    for name in OPAWG_LISTS:
        (folder / "opawg" / f"{name}.json").write_text(json.dumps({"entries": agents[name]}))
    settings = Settings(data=tmp_path / "data", reference_dir=folder)
    with pytest.raises(
        ReferenceListError, match=r"EARSHOT_REFERENCE_DIR = .*agents.*'Overcast' is classified as a bot"
    ):
        Rules.load(settings)
    (folder / "opawg" / "devices.json").unlink()
    with pytest.raises(ReferenceListError, match=r"devices\.json cannot be read"):
        Rules.load(settings)
    with pytest.raises(SettingError, match=r"EARSHOT_REFERENCE_DIR = .* there is no such folder"):
        Rules.load(settings.model_copy(update={"reference_dir": tmp_path / "nowhere"}))


def test_a_local_folder_goes_before_what_was_fetched_list_by_list(
    of_agents: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "bogus_referrers.txt").write_text("spam.test\n")
    (folder / "VERSION").write_text("8008a31 2026-08-06\n")
    local = of_agents.model_copy(update={"reference_dir": folder})
    rules = Rules.load(local)
    assert str(rules.lists["bogus_referrers"].origin).endswith(str(folder / "bogus_referrers.txt"))
    rules.remember(local, Lake(local.lake_dir))
    # Kept, it is opened without the folder, too; the marts are not told where that was.
    for known in (rules, Rules.load(of_agents, f"bogus_referrers={rules.versions['bogus_referrers']}")):
        origins = dict(known.described().select("list", "origin").iter_rows())
        wanted = "reference folder, version 8008a31 2026-08-06, bogus_referrers.txt"
        assert origins["bogus_referrers"] == wanted
        assert origins["agents"].startswith("http://127.0.0.1")


def test_a_list_of_the_operators_that_vanishes_stays_in_use_and_is_told(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "")
    path = settings.data / "excluded_addresses.csv"
    path.write_text("key:5,,,from the mart\n")
    look(settings, "excluded_addresses")
    path.unlink()
    found = look(settings, "excluded_addresses")
    assert found.outcome is Outcome.UNREACHABLE
    assert "an empty file would empty the list" in str(found.reason)
    assert len(Rules.load(settings).excluded_addresses.entries) == 1
    path.write_text("")
    assert look(settings, "excluded_addresses").outcome is Outcome.UPDATED
    assert Rules.load(settings).excluded_addresses.entries == ()


LISTED = "198.51.100.9\n2001:db8:7::1\n192.0.2.0/24\nkey:5\n"


def judged(settings: Settings, version: str | None = None) -> list[bool]:
    """Which of these addresses the list excludes: alone, by its /64, in a network, not at all."""
    addresses = pl.Series(["198.51.100.9", "20010db800070000", "192.0.2.77", "198.51.100.10"])
    return Rules.load(settings, version).address_evidence(Numbers(addresses), TODAY)[1].to_list()


def kept_texts(settings: Settings) -> list[bytes]:
    there = [*settings.data.rglob("*.csv"), *settings.data.rglob("*.json"), *settings.data.rglob("*.txt")]
    return [path.read_bytes() for path in there if path.parent != settings.data]


def test_what_is_kept_of_an_address_list_names_no_address_and_judges_alike(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "")
    path = settings.data / "excluded_addresses.csv"
    path.write_text(LISTED)
    old = look(settings, "excluded_addresses").version
    assert judged(settings) == [True, True, True, False]
    path.write_text("key:5\n")
    look(settings, "excluded_addresses")
    assert judged(settings) == [False] * 4
    # For restating, the old version acts as it did.
    assert judged(settings, f"excluded_addresses={old}") == [True, True, True, False]
    then = Rules.load(settings, f"excluded_addresses={old}").excluded_addresses
    assert [(entry.line, entry.key) for entry in then.entries if entry.key] == [(4, 5)]
    texts = kept_texts(settings)
    assert texts and not any(b"198.51.100" in text or b"2001:db8" in text for text in texts)
    assert any(b"192.0.2.0/24" in text for text in texts)


@pytest.mark.parametrize("spoilt", ["203.0.113.7x\n", None])
def test_a_list_spoilt_or_removed_after_it_was_taken_acts_on_by_its_copy(
    tmp_path: Path, spoilt: str | None
) -> None:
    settings = settings_for(tmp_path, "")
    path = settings.data / "excluded_addresses.csv"
    path.write_text(LISTED)
    good = look(settings, "excluded_addresses").version
    path.write_text(spoilt) if spoilt else path.unlink()
    found = look(settings, "excluded_addresses")
    assert found.outcome is (Outcome.REFUSED if spoilt else Outcome.UNREACHABLE)
    assert found.version == good
    assert judged(settings) == [True, True, True, False]
    # Also for the marts what they knew stays.
    lake, keys = Lake(settings.lake_dir), KeyRing(settings.keys_dir)
    path.write_text(LISTED)
    Rules.load(settings).write_address_lists(lake, keys)
    known = pl.read_parquet(lake.address_lists_path)
    path.write_text(spoilt) if spoilt else path.unlink()
    Rules.load(settings).write_address_lists(lake, keys)
    assert known.height > 1 and pl.read_parquet(lake.address_lists_path).equals(known)


def test_an_address_list_from_a_server_is_asked_for_whole(tmp_path: Path, server: ListServer) -> None:
    server.put("/mine.csv", LISTED)
    settings = settings_for(tmp_path, f'[excluded_addresses]\nurl = "{server.url}/mine.csv"\n')
    assert look(settings, "excluded_addresses").outcome is Outcome.UPDATED
    assert look(settings, "excluded_addresses").outcome is Outcome.UNCHANGED
    assert server.answered == [200, 200]
    assert judged(settings) == [True, True, True, False]


def test_nothing_but_the_landing_file_holds_an_excluded_address(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "excluded_addresses.txt").write_text("198.51.100.9\n")
    settings = Settings(data=tmp_path / "data", settle_s=0, reference_dir=folder)
    take(settings, land(settings, nginx(ip="198.51.100.9")))
    found = Lake(settings.lake_dir).requests().collect()
    assert found["exclusion_reason"].to_list() == ["excluded_address"]
    kept = [path for path in settings.data.rglob("*") if path.is_file() and "landing" not in path.parts]
    assert not [path for path in kept if b"198.51.100.9" in path.read_bytes()]
    # A copy of it is kept all the same, so that counts can be restated.
    elsewhere = settings.model_copy(update={"reference_dir": None})
    assert judged(elsewhere, found["rules_version"][0])[0]


def test_unused_lists_are_neither_fetched_nor_used(tmp_path: Path, server: ListServer) -> None:
    server.put("/dc", "198.51.100.0/24")
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc"\n')
    look(settings, "datacenters")
    settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc"\nuse = false\n')
    assert refresh(settings, ["datacenters"], now_us=NOW_US) == []
    assert Rules.load(settings).versions["datacenters"] == "none"


def test_a_refresh_twice_writes_the_same_bytes(of_agents: Settings) -> None:
    store = ListStore.of(of_agents)

    def files() -> dict[Path, tuple[int, bytes]]:
        there = [path for path in store.root.glob("agents/*/*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in there}

    before = files()
    look(of_agents, "agents")
    assert len(before) == 14 and files() == before  # 6 files and their origin, once more through the link


def test_remembering_twice_is_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    rules, lake = Rules.load(settings), Lake(settings.lake_dir)
    rules.remember(settings, lake)
    store = ListStore.of(settings)
    times = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    Rules.load(settings).remember(settings, lake)
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == times
    assert store.lists() == ["agents", "prefixes"]
