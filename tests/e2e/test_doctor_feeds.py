"""What `earshot doctor` says of podcasts kept current, on a registry and states as sweeps leave them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from earshot.doctor import examine
from earshot.finding import Finding, Verdict
from ingest.feeds.crawl import new_state
from ingest.feeds.schema import Record, Tier, shard_of
from ingest.feeds.state import Commit, folder_of, opened
from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.database import FILE_NAME, connect, writing
from registry.leases import claim
from registry.podcasts import Crawled, Registration, record_crawl, register
from registry.tables import PodcastState
from tests.ingest.samples import settings_of

S, MIN, HOUR = 1_000_000, 60_000_000, 3_600_000_000
URLS = [f"https://example.com/{number}" for number in range(10)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(settings)}


def registered(settings: Settings, urls: list[str] = URLS) -> Engine:
    engine = connect(settings.registry, settings.data)
    register(engine, [Registration(url) for url in urls], 1)
    return engine


def polled(settings: Settings, ago_us: int = MIN, **said: object) -> None:
    """All of URLS were polled `ago_us` before now and are due in an hour."""
    now_us = utc_now_us()
    rows: dict[int, list[Record]] = {}
    for url in URLS:
        key = podcast_key(url)
        row = new_state(key, url) | {"tier": Tier.HOT, "polls": 1, "fetched_us": now_us - ago_us}
        row |= {"polled_us": now_us - ago_us, "next_due_us": now_us + HOUR, "status": 304, **said}
        rows.setdefault(shard_of(key), []).append(row)
    for shard, of_shard in rows.items():
        with opened(settings.lake_dir, shard) as state:
            state.commit(Commit(of_shard))


def slept(settings: Settings, seconds: float) -> None:
    """As if nothing had been committed since."""
    for url in URLS:
        path = folder_of(settings.lake_dir, shard_of(podcast_key(url))) / "state.parquet"
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def test_without_podcasts_it_says_how_to_begin_and_makes_no_registry(settings: Settings) -> None:
    finding = found(settings)["registry"]
    assert finding.verdict is Verdict.FINE and "earshot register URL" in finding.found
    assert not (settings.data / FILE_NAME).exists()
    connect(None, settings.data).dispose()
    assert found(settings)["podcasts"].found == "none registered: `earshot register URL`"


def test_podcasts_are_counted_by_state_and_by_whether_they_were_polled(settings: Settings) -> None:
    engine = registered(settings)
    polled(settings)
    register(engine, [Registration(f"https://new.example.com/{n}") for n in range(10)], 1)
    record_crawl(engine, [Crawled(podcast_key(URLS[0]), state=PodcastState.DEAD, reason="dns")])
    engine.dispose()
    findings = found(settings)
    assert findings["podcasts"].found == "20: 19 active, 1 dead"
    assert findings["polled"].found == "10 of 20 podcasts at least once (50%)"
    assert findings["sweeps"].found.endswith("ago; 10 podcasts are due")
    assert findings["sweeps"].verdict is Verdict.FINE  # one was committed just now


def test_something_due_while_nobody_sweeps_is_odd(settings: Settings) -> None:
    engine = registered(settings)
    finding = found(settings)["sweeps"]
    assert finding.found == "none committed yet; 10 podcasts are due, and nobody sweeps"
    assert finding.verdict is Verdict.ODD
    assert "earshot run" in finding.advice and "earshot sweep --forever" in finding.advice
    polled(settings, next_due_us=1)
    slept(settings, 3 * 3600)
    assert found(settings)["sweeps"].found == (
        "the last one committed 3 h ago; 10 podcasts are due, and nobody sweeps"
    )
    claim(engine, "worker", [1, 2], 60, utc_now_us())
    engine.dispose()
    at_work = found(settings)["sweeps"]
    assert at_work.found.endswith("at work on 2 shards") and at_work.verdict is Verdict.FINE


def test_a_tier_later_than_its_promise_is_odd(settings: Settings) -> None:
    registered(settings).dispose()
    polled(settings)
    assert found(settings)["promises"] == Finding("promises", "hot (15 min) 0 of 10 late")
    polled(settings, 20 * MIN, next_due_us=utc_now_us() - MIN)
    finding = found(settings)["promises"]
    assert finding.found == "hot (15 min) 10 of 10 late" and finding.verdict is Verdict.ODD
    assert "earshot sweep --forever" in finding.advice


def test_reasons_of_failures_are_told_and_many_failures_are_odd(settings: Settings) -> None:
    registered(settings).dispose()
    polled(settings)
    assert found(settings)["feeds failing"].found == "0 of 10 (0%)"
    polled(settings, failures=3, reason="dns")
    finding = found(settings)["feeds failing"]
    assert finding.found == "10 of 10 (100%): 10 dns"
    assert finding.verdict is Verdict.ODD and "network" in finding.advice


def test_a_worker_that_died_is_told(settings: Settings) -> None:
    engine = registered(settings)
    assert "leases" not in found(settings)
    claim(engine, "dead", [7], 1, utc_now_us() - 2 * HOUR)
    engine.dispose()
    finding = found(settings)["leases"]
    assert finding.verdict is Verdict.ODD and finding.found.startswith("1 shards were left by a worker")


def test_a_registry_that_cannot_be_used_is_wrong_and_no_password_is_shown(settings: Settings) -> None:
    url = "postgresql://u:s3cret@127.0.0.1:1/db"
    finding = found(settings.model_copy(update={"registry": url}))["registry"]
    assert finding.verdict is Verdict.WRONG
    assert "EARSHOT_REGISTRY" in finding.found and "s3cret" not in repr(finding)
    settings.data.mkdir(exist_ok=True)
    (settings.data / FILE_NAME).write_bytes(b"no database" * 100)
    assert found(settings)["registry"].verdict is Verdict.WRONG


def test_a_registry_of_another_version_is_told_and_left_as_it_is(settings: Settings) -> None:
    engine = registered(settings)
    with writing(engine) as connection:
        connection.execute(text("update alembic_version set version_num = '0000'"))
    finding = found(settings)["registry"]
    assert finding.verdict is Verdict.ODD and "older Earshot" in finding.found
    with writing(engine) as connection:
        assert connection.execute(text("select version_num from alembic_version")).scalar() == "0000"
        connection.execute(text("update alembic_version set version_num = '9999'"))
    engine.dispose()
    finding = found(settings)["registry"]
    assert finding.verdict is Verdict.WRONG and "upgrade this one" in finding.found


def test_a_broken_crawl_state_is_told(settings: Settings) -> None:
    registered(settings).dispose()
    polled(settings)
    (folder_of(settings.lake_dir, shard_of(podcast_key(URLS[0]))) / "state.parquet").write_bytes(b"PAR1")
    assert found(settings)["polls"].verdict is Verdict.WRONG


def test_sources_of_notices_and_their_keys_are_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(settings)["feed sources"].found == "podping, websub on (the default)"
    settings.data.mkdir(exist_ok=True)
    file = settings.data / "feed_sources.toml"
    file.write_text(
        '[podcastindex]\non = true\nkey_env = "EARSHOT_MY_KEY"\nsecret_env = "MY_SECRET"\n'
        "[podping]\non = false\n"
    )
    findings = found(settings)
    assert findings["feed sources"].found == "websub, podcastindex on"
    assert findings["keys of podcastindex"].verdict is Verdict.WRONG
    monkeypatch.setenv("EARSHOT_MY_KEY", "k")
    monkeypatch.setenv("MY_SECRET", "s3cret")
    findings = found(settings)
    assert findings["keys of podcastindex"] == Finding("keys of podcastindex", "set")
    assert "EARSHOT_MY_KEY" not in findings  # no setting of ours, and no mistake
    assert "s3cret" not in repr(findings)
    file.write_text("[podpong]\n")
    broken = found(settings)["feed sources"]
    assert broken.verdict is Verdict.WRONG and "there is no source 'podpong'" in broken.found


def test_notice_files_that_nobody_reads_are_odd(settings: Settings) -> None:
    assert found(settings)["feed notices"].verdict is Verdict.FINE
    folder = settings.hints_dir / "podping"
    folder.mkdir(parents=True)
    for name in ("a.json", "b.jsonl", "c.json.tmp", "d.txt"):
        (folder / name).write_text("{}")
    finding = found(settings)["feed notices"]
    assert finding.found.startswith("2 files wait in") and finding.verdict is Verdict.FINE
    then = (folder / "a.json").stat().st_mtime - 7200
    os.utime(folder / "a.json", (then, then))
    finding = found(settings)["feed notices"]
    assert finding.found.endswith("the oldest for 2 h") and finding.verdict is Verdict.ODD


def test_guards_that_are_switched_off_are_odd(settings: Settings, tmp_path: Path) -> None:
    names = ("EARSHOT_FEED_TEST_HOSTS", "EARSHOT_FEED_RESOLVE")
    assert not set(names) & set(found(settings))
    file = tmp_path / "resolve.json"
    file.write_text(json.dumps({"a.example.com": "127.0.0.1:1"}))
    off = settings.model_copy(update={"feed_test_hosts": "127.0.0.0/8", "feed_resolve": file})
    findings = found(off)
    assert {findings[name].verdict for name in names} == {Verdict.ODD}
    file.write_text("[")
    assert found(off)["EARSHOT_FEED_RESOLVE"].verdict is Verdict.WRONG
