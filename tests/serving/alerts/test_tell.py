"""A look and what follows, with real servers: grouped, noted, retried, and a killed process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from ingest.lake import utc_now_us
from serving.alerts import state as states
from serving.alerts.alert import Severity
from serving.alerts.looks import Look
from serving.alerts.news import SETTLE_US
from serving.alerts.tell import look_and_tell, try_channels
from tests.registry.webhook_rows import SECRET
from tests.serving.alerts.hook import Hook, hook_server
from tests.serving.alerts.installation import HOUR, MIN, NOW, alert, by_hook, by_mail, finding
from tests.serving.alerts.mail import mail_server

SENDS_ONE = """
import sys
from pathlib import Path
from serving.alerts.tell import look_and_tell
from tests.serving.alerts.installation import alert, by_hook, finding
look_and_tell(by_hook(Path(sys.argv[1]), sys.argv[2]), None, finding(alert()))
"""


def test_all_of_one_look_is_one_e_mail_that_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    with mail_server() as server:
        settings = by_mail(tmp_path, server.port)
        found = finding(alert("disk", amount=2), alert("edge", Severity.CRITICAL))
        assert look_and_tell(settings, NOW, found).told == {"email": 2}
        assert look_and_tell(settings, NOW + MIN, found).told == {}
    (message,) = server.messages
    assert message["Subject"] == "[Earshot] critical: edge is wrong. (2 new)"
    text = message.get_content()
    assert text.index("* critical: edge is wrong.") < text.index("* warning: disk is wrong.")
    assert "What to do: Mend edge." in text and "docs/operations.md#low_disk" in text
    assert "First seen 2026-11-30" in text


def test_a_webhook_is_verified_by_the_official_library_and_says_what_is_over(tmp_path: Path) -> None:
    with hook_server() as hook:
        settings = by_hook(tmp_path, hook.url)
        now_us = utc_now_us()  # the library refuses old ones
        for at_us, found in (
            (now_us, [alert()]),
            (now_us + MIN, []),
            (now_us + MIN + SETTLE_US // 2, []),
        ):
            look_and_tell(settings, at_us, finding(*found))
        look_and_tell(settings, now_us + MIN + SETTLE_US, finding())
    events = []
    for number, (path, fields, body) in enumerate(hook.requests):
        assert path == "/in/token-of-the-path"
        if number == 0:
            assert Webhook(SECRET).verify(body, fields)
        told = json.loads(body)
        assert told["type"] == "alerts" and told["data"]["more"] == 0
        events += [
            (each["event"], each["kind"], each["subject"], each["link"]) for each in told["data"]["alerts"]
        ]
    page = "docs/operations.md#low_disk"
    assert events == [("new", "low_disk", "one", page), ("resolved", "low_disk", "one", page)]
    assert len({fields["webhook-id"] for _, fields, _ in hook.requests}) == 2


def test_a_channel_that_fails_keeps_no_other_from_its_message_and_is_tried_again(tmp_path: Path) -> None:
    with hook_server() as hook, mail_server() as server:
        hook.status = 500
        settings = by_mail(tmp_path, server.port, alert_webhook_url=hook.url, alert_webhook_secret=SECRET)
        report = look_and_tell(settings, NOW, finding(alert()))
        assert report.told == {"email": 1}
        assert report.failed["webhook"].startswith(
            f"127.0.0.1:{hook.url.split(':')[2].split('/')[0]}: server_error"
        )
        assert "token-of-the-path" not in report.line
        look_and_tell(settings, NOW + MIN // 2, finding(alert()))
        assert len(hook.requests) == 1, "left alone for a minute"
        hook.status = 200
        assert look_and_tell(settings, NOW + MIN, finding(alert())).told == {"webhook": 1}
        assert len(server.messages) == 1, "who was told is not told once more"
    kept = states.read(tmp_path)
    assert [channel.failures for channel in kept.channels.values()] == [0, 0]


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with hook_server() as hook:
        hook.status, hook.location = 307, hook.url + "/elsewhere"
        report = look_and_tell(by_hook(tmp_path, hook.url), NOW, finding(alert()))
    assert "redirected" in report.failed["webhook"] and len(hook.requests) == 1


def test_recipients_that_refuse_do_not_make_the_others_hear_it_again(tmp_path: Path) -> None:
    with mail_server() as server:
        server.refuse = {"gone@example.com"}
        settings = by_mail(tmp_path, server.port, alert_email_to="team@example.com,gone@example.com")
        assert "gone@example.com" in look_and_tell(settings, NOW, finding(alert())).failed["email"]
        assert look_and_tell(settings, NOW + 2 * HOUR, finding(alert())).failed == {}
        assert len(server.messages) == 1
    problem = states.read(tmp_path).channels["email"].problem
    assert problem is not None and "gone@example.com" in problem


def killed_while_sending(data: Path, hook: Hook) -> None:
    """A process that looks and tells, killed once its message was taken and before it can note that."""
    hook.arrived.clear()
    hook.go_on.clear()
    process = subprocess.Popen([sys.executable, "-c", SENDS_ONE, str(data), hook.url])
    assert hook.arrived.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    hook.go_on.set()


def test_a_process_killed_between_sending_and_noting_sends_once_more_under_the_same_id(
    tmp_path: Path,
) -> None:
    with hook_server() as hook:
        killed_while_sending(tmp_path, hook)
        settings = by_hook(tmp_path, hook.url)
        assert [each.told for each in states.read(tmp_path).alerts.values()] == [{}], "found, and kept"
        assert look_and_tell(settings, None, finding(alert())).told == {"webhook": 1}
        for _ in range(3):
            look_and_tell(settings, None, finding(alert()))
    first, second = hook.requests  # and no third
    assert first[1]["webhook-id"] == second[1]["webhook-id"]


def test_what_was_found_is_kept_whoever_is_killed(tmp_path: Path) -> None:
    with hook_server() as hook:
        killed_while_sending(tmp_path, hook)
        before = states.read(tmp_path)
        look_and_tell(by_hook(tmp_path, hook.url), None, finding(alert()))
    (one,), (other,) = before.alerts.values(), states.read(tmp_path).alerts.values()
    assert one.first_us == other.first_us and other.count == 2


def test_a_state_that_is_damaged_is_begun_anew_and_all_is_told_again(tmp_path: Path) -> None:
    with mail_server() as server:
        settings = by_mail(tmp_path, server.port)
        look_and_tell(settings, NOW, finding(alert()))
        (tmp_path / states.FOLDER / states.FILE).write_text('{"format": 1, "alerts": [{"kind"')
        assert states.read(tmp_path).damaged
        assert look_and_tell(settings, NOW + MIN, finding(alert())).told == {"email": 1}
        assert not states.read(tmp_path).damaged


def test_nothing_is_sent_where_it_could_not_be_noted(tmp_path: Path) -> None:
    (tmp_path / states.FOLDER / states.FILE).mkdir(parents=True)  # nothing can take its place
    with mail_server() as server:
        with pytest.raises(OSError):
            look_and_tell(by_mail(tmp_path, server.port), NOW, finding(alert()))
        assert server.messages == []


def test_a_look_that_fails_is_an_alert_itself_and_the_other_looks_are_made(tmp_path: Path) -> None:
    def broken(settings: object, now_us: int) -> list[object]:
        raise RuntimeError("postgresql://user:hunter2@host")

    with mail_server() as server:
        settings = by_mail(tmp_path, server.port)
        looks = finding(alert()) | {"endpoints": Look(0, broken)}  # type: ignore[arg-type]
        assert look_and_tell(settings, NOW, looks).told == {"email": 2}
    text = server.messages[0].get_content()
    assert "The look at endpoints failed" in text and "hunter2" not in text
    assert "one is wrong" in text


def test_a_test_message_goes_to_each_channel_and_says_what_each_answered(tmp_path: Path) -> None:
    with hook_server() as hook, mail_server() as server:
        settings = by_mail(tmp_path, server.port, alert_webhook_url=hook.url, alert_webhook_secret=SECRET)
        hook.status = 403
        look_and_tell(settings, NOW, finding(alert()))
        answers = try_channels(settings)
        assert answers["email"] == (True, f"127.0.0.1:{server.port} took it for team@example.com")
        assert answers["webhook"][0] is False and "403" in answers["webhook"][1]
        hook.status = 200
        assert try_channels(settings)["webhook"][0]
        # It works again: nobody waits for the minute to end.
        assert look_and_tell(settings, NOW + 1, finding(alert())).told == {"webhook": 1}
    assert server.messages[-1]["Subject"] == "[Earshot] a test: alerts arrive here"
    assert json.loads(hook.requests[-2][2])["type"] == "alerts.test"


def test_a_flood_is_one_message_of_bounded_length(tmp_path: Path) -> None:
    with mail_server() as server:
        found = finding(*(alert(f"number {number:04}") for number in range(500)))
        assert look_and_tell(by_mail(tmp_path, server.port), NOW, found).told == {"email": 500}
    (message,) = server.messages
    assert message.get_content().count("* warning") == 50
    assert "And 450 more." in message.get_content()
