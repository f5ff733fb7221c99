"""`earshot alerts` as typed, and what `earshot doctor` says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earshot.doctor_alerts import alerts
from earshot.finding import Finding, Verdict
from ingest.lake import utc_now_us
from ingest.settings import Settings
from serving.alerts import failures
from serving.alerts.alert import Severity
from serving.alerts.tell import look_and_tell
from tests.registry.command_line import Earshot, typed
from tests.registry.webhook_rows import SECRET
from tests.serving.alerts.hook import hook_server
from tests.serving.alerts.installation import HOUR, alert, by_hook, by_mail, finding
from tests.serving.alerts.mail import mail_server

__all__ = ["typed"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARSHOT_ALERT_DISK_GB", "0")
    return tmp_path / "data"


def test_what_is_there_is_listed_the_worst_first_with_what_to_do(data: Path, typed: Earshot) -> None:
    assert "nothing is wrong" in typed("alerts", "list").out
    found = finding(alert("disk"), alert("edge\x1b[2J", Severity.CRITICAL))
    look_and_tell(Settings(data=data), None, found)
    said = typed("alerts", "list")
    assert said.code == 0 and said.out.index("critical") < said.out.index("warning")
    assert "→ Mend disk." in said.out and "docs/operations.md, section low_disk" in said.out
    assert "\x1b[2J" not in said.out
    rows = typed("alerts", "list", "--output", "json").rows
    assert [row["subject"] for row in rows] == ["edge\x1b[2J", "disk"] and rows[1]["count"] == 1
    assert typed("alerts", "list", "--output", "csv").out.count("low_disk,") == 2


def test_a_test_says_what_each_channel_answered_and_fails_with_one_that_does_not(
    data: Path, typed: Earshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = typed("alerts", "test")
    assert said.code == 2 and "EARSHOT_ALERT_EMAIL_TO" in said.err
    with mail_server() as server, hook_server() as hook:
        monkeypatch.setenv("EARSHOT_ALERT_EMAIL_TO", "team@example.com")
        monkeypatch.setenv("EARSHOT_ALERT_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("EARSHOT_ALERT_SMTP_PORT", str(server.port))
        monkeypatch.setenv("EARSHOT_ALERT_SMTP_SECURITY", "none")
        monkeypatch.setenv("EARSHOT_ALERT_WEBHOOK_URL", hook.url)
        monkeypatch.setenv("EARSHOT_ALERT_WEBHOOK_SECRET", SECRET)
        said = typed("alerts", "test")
        assert said.code == 0 and len(server.messages) == len(hook.requests) == 1
        assert "took it for team@example.com" in said.err and "answered 204" in said.err
        hook.status = 500
        assert typed("alerts", "test").code == 3, "partly"
        server.answer = "554 no"
        said = typed("alerts", "test")
    assert said.code == 1 and "token-of-the-path" not in said.err and SECRET not in said.err


def test_a_look_by_hand_finds_tells_and_says_so(data: Path, typed: Earshot) -> None:
    failures.note(data, "marts", None, "r1", utc_now_us())
    said = typed("alerts", "look")
    assert said.code == 0 and "looked: 1 alert" in said.err and "nobody is told" in said.err
    assert "The run marts failed." in typed("alerts", "list").out
    assert typed("alerts", "dismiss", "another").code == 2
    assert typed("alerts", "dismiss", "marts").code == 0
    assert "looked: 0 alerts" in typed("alerts", "look").err
    assert "nothing is wrong" in typed("alerts", "list").out


def found(settings: Settings) -> dict[str, Finding]:
    return {each.what: each for each in alerts(settings)}


def test_doctor_says_that_nobody_is_told_and_that_nobody_looks(data: Path) -> None:
    settings = Settings(data=data)
    assert found(settings)["alerts"].verdict is Verdict.ODD
    assert found(settings)["alerts now"].found.startswith("nobody has looked yet")
    look_and_tell(settings, utc_now_us() - HOUR)
    assert "nobody has looked for 60 min" in found(settings)["alerts now"].found


def test_doctor_shows_a_channel_that_fails_and_why(data: Path) -> None:
    with hook_server() as hook:
        settings = by_hook(data, hook.url, alert_disk_gb=0)
        assert found(settings)["alerts by webhook"].found.startswith("set, and not used yet")
        hook.status = 500
        look_and_tell(settings, None, finding(alert()))
        finding_of = found(settings)
        assert finding_of["alerts by webhook"].verdict is Verdict.WRONG
        assert "server_error" in finding_of["alerts by webhook"].found
        assert "1 failures in a row" in finding_of["alerts by webhook"].found
        assert "token-of-the-path" not in str(finding_of)
    broken = by_mail(data, 25, alert_email_to="nobody")
    assert found(broken)["alerts"].verdict is Verdict.WRONG


def test_doctor_says_how_many_alerts_there_are_and_when_a_channel_last_took_one(data: Path) -> None:
    with hook_server() as hook:
        settings = by_hook(data, hook.url, alert_disk_gb=0)
        look_and_tell(settings)
        assert found(settings)["alerts now"] == Finding("alerts now", "none")
        failures.note(data, "marts", None, "r1", utc_now_us())
        look_and_tell(settings)
    finding_of = found(settings)
    assert (finding_of["alerts now"].found, finding_of["alerts now"].verdict) == ("1", Verdict.ODD)
    assert finding_of["alerts by webhook"].found.startswith("last taken 0 s ago")
    assert json.loads(hook.requests[0][2])["data"]["alerts"][0]["kind"] == "run_failed"
