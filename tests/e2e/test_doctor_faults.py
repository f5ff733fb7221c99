"""What `earshot doctor` says of what is damaged or misspelt: one finding each, and all others are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from earshot.doctor import examine
from earshot.finding import Finding, Verdict
from earshot.known_settings import known_settings, meant
from ingest.feeds.schema import Tier
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
from serving.alerts import failures
from serving.alerts import state as states
from tests.dbt.feed_lakes import polled, set_state
from tests.ingest.samples import land, nginx, settings_of

ROOT = Path(__file__).parents[2]


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(settings)}


def test_a_damaged_ledger_file_is_one_finding_that_names_it_and_all_others_are_there(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    land(settings, nginx(), "edge")
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
    before = found(settings)
    (ledger,) = (settings.lake_dir / "files").glob("*/edge.parquet")
    ledger.write_bytes(b"garbage")
    after = found(settings)
    assert set(before) <= set(after)
    wrong = after["files taken in"]
    assert wrong.verdict is Verdict.WRONG and str(ledger) in wrong.found
    assert "earshot verify --repair" in wrong.advice


def test_a_damaged_crawl_state_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    set_state(Lake(settings.lake_dir), [polled(1, tier=Tier.HOT.value)])
    state, *_ = sorted(settings.lake_dir.glob("catalog/*/state.parquet"))
    state.write_bytes(b"garbage")
    from earshot.doctor_feeds import _polls

    (one,) = _polls(settings.lake_dir, 1, 0, 0)
    assert one.verdict is Verdict.WRONG and str(state) in one.found and "earshot verify" in one.advice


@pytest.mark.parametrize("content", ["[" * 100_000, '[{"job"', "5", '[{"job": []}]'])
def test_damaged_notes_of_failed_runs_are_named_until_they_are_removed(tmp_path: Path, content: str) -> None:
    settings = settings_of(tmp_path)
    path = states.make_folder(settings.data) / failures.FILE
    path.write_text(content)
    assert str(path) in found(settings)["failed runs"].found
    assert failures.put_aside(settings.data) == path.with_name("runs.json.damaged")
    after = found(settings)
    assert "failed runs" not in after and "runs.json.damaged" in after["alerts set aside"].found


def test_a_part_that_fails_for_whatever_reason_hides_no_other_and_tells_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: Settings) -> Finding:
        raise RuntimeError("postgresql://user:hunter2@host")

    settings = settings_of(tmp_path)
    names = set(found(settings))
    monkeypatch.setattr("earshot.doctor._landing", broken)
    after = found(settings)
    assert set(after) == names and after["landing"].found.endswith("RuntimeError")
    assert "hunter2" not in str(after)


def test_every_setting_that_a_document_names_is_known() -> None:
    known = known_settings()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for name in re.findall(r"EARSHOT_[A-Z0-9_]*[A-Z0-9_]", page.read_text("utf-8")):
            is_group = name.endswith("_") and any(each.startswith(name) for each in known)
            assert name in known or is_group, f"{page.name}: {name}"


def test_a_misspelt_setting_is_told_with_the_one_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALERT_EMAIL_TOO", "EDGE_LISTEN", "WEBHOOK_SECRET", "API_RATE", "QQQQQQQQ"):
        monkeypatch.setenv(f"EARSHOT_{name}", "x")
    findings = found(settings_of(tmp_path))
    assert findings["EARSHOT_ALERT_EMAIL_TOO"].advice == "EARSHOT_ALERT_EMAIL_TO is meant?"
    assert not {"EARSHOT_EDGE_LISTEN", "EARSHOT_WEBHOOK_SECRET", "EARSHOT_API_RATE"} & set(findings)
    assert len(findings["EARSHOT_QQQQQQQQ"].advice) < 100
    assert meant("EARSHOT_QQQQQQQQ") is None
