"""What `earshot doctor` says of how it is run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from earshot import doctor_deployment
from earshot.backup.write import backup
from earshot.doctor import examine
from earshot.doctor_deployment import deployment
from earshot.finding import Finding, Verdict
from ingest.settings import Settings
from serving.edge.settings import EdgeSettings
from serving.platform_metrics import LAST_BACKUP


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in deployment(settings)}


def test_settings_of_the_api_and_the_prefix_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_API_RATE", "6000/minute")
    monkeypatch.setenv("EARSHOT_EDGE_WORKERS", "1")
    monkeypatch.setenv("EARSHOT_EDGE_WORKRES", "1")
    names = {each.what for each in examine(Settings(data=tmp_path)) if each.found == "no such setting"}
    assert names == {"EARSHOT_EDGE_WORKRES"}


def test_a_prefix_is_looked_at_where_one_was_set_up(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert not [what for what in found(settings) if what.startswith("prefix")]
    EdgeSettings.from_env({}, platform=settings).folder.mkdir(parents=True)
    amiss = {what: each for what, each in found(settings).items() if what.startswith("prefix")}
    assert amiss and all(each.advice for each in amiss.values())
    assert any(each.verdict is Verdict.WRONG for each in amiss.values())


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    away = Settings(data=tmp_path, dagster_db=f"postgresql://u:secret@/d?host={tmp_path}/nowhere")
    told = found(away)["Dagster's records"]
    assert told.verdict is Verdict.WRONG and "secret" not in told.found and "is the server up" in told.advice
    assert found(Settings(data=tmp_path))["Dagster's records"].verdict is Verdict.FINE


def test_secret_files_that_others_may_read_are_named(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    settings.keys_dir.mkdir()
    for name in ("api.secret", "earshot.env", "keys/epoch-1.key"):
        (tmp_path / name).touch(mode=0o600)
    assert found(settings)["secret files"].verdict is Verdict.FINE
    (tmp_path / "earshot.env").chmod(0o640)
    told = found(settings)["secret files"]
    assert told.verdict is Verdict.WRONG and told.advice == f"chmod 600 {tmp_path}/earshot.env"


def test_a_backup_is_remembered_and_missed_when_none_is_made(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    settings.data.mkdir()
    assert "backup" not in found(settings)
    settings.warehouse.touch()
    assert found(settings)["backup"].verdict is Verdict.ODD
    backup(settings, tmp_path / "one.tar", lambda *_: None)
    assert found(settings)["backup"].verdict is Verdict.FINE
    before = datetime.now(UTC) - timedelta(days=2)
    (settings.data / LAST_BACKUP).write_text(json.dumps({"made_at": before.isoformat()}))
    told = found(settings)["backup"]
    assert told.verdict is Verdict.WRONG and "2 d" in told.found


def test_units_that_failed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_deployment, "SYSTEMD", tmp_path)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        "#!/bin/sh\necho 'earshot-api.service loaded active running Earshot: API'\n"
        "echo 'earshot-run.service loaded failed failed Earshot: intake'\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    told = found(Settings(data=tmp_path))["units"]
    assert told.verdict is Verdict.WRONG and "earshot-run.service" in told.found
    assert "journalctl -u earshot-run.service" in told.advice
