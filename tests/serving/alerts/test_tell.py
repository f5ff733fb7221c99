"""A look and what follows, with real servers: grouped, noted, retried, and a killed process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from ingest.lake import utc_now_us
from ingest.settings import Settings
from serving.alerts import failures
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
    assert message["Subject"] == f"[Earshot {socket.gethostname()}] critical: edge is wrong. (2 new)"
    text = message.get_content()
    assert text.index("* critical: edge is wrong.") < text.index("* warning: disk is wrong.")
    assert "What to do: Mend edge." in text and "docs/operations.md, section low_disk" in text
    assert text.startswith(f"At {socket.gethostname()}, {tmp_path}")
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
    page = "docs/operations.md, section low_disk"
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
        assert look_and_tell(settings, NOW + MIN, finding(alert())).told == {"email": 2}
        assert not states.read(tmp_path).damaged
    aside = tmp_path / states.FOLDER / "state.json.damaged"
    assert aside.read_text().endswith('"kind"')
    assert f"the former is {aside}" in unwrapped(server.messages[1])


def test_nothing_is_sent_where_it_could_not_be_noted(tmp_path: Path) -> None:
    # Where what is written first goes.
    (tmp_path / states.FOLDER / f".{states.FILE}.{os.getpid()}.tmp").mkdir(parents=True)
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
    assert "And 450 more: `earshot alerts list` shows all" in unwrapped(message)


def unwrapped(message: EmailMessage) -> str:
    return " ".join(message.get_content().split())


def first(kept: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = kept["alerts"][0]
    return found


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "empty": lambda kept: "",
    "no list": lambda kept: [1],
    "deep": lambda kept: "[" * 100_000,
    "channels a list": lambda kept: kept | {"channels": []},
    "looked a list": lambda kept: kept | {"looked": []},
    "looked without end": lambda kept: '{"format":1,"alerts":[],"channels":{},"looked":{"disk":1e999}}',
    "alerts by name": lambda kept: kept | {"alerts": {"a": 1}},
    "told is null": lambda kept: first(kept).update(told=None),
    "count is null": lambda kept: first(kept).update(count=None),
    "a time that is a word": lambda kept: first(kept).update(first_us="x"),
    "a time beyond all years": lambda kept: first(kept).update(first_us=10**30),
    "a gone time that is a word": lambda kept: first(kept).update(gone_us="x"),
    "a surrogate": lambda kept: first(kept).update(subject="\ud800", wrong="\ud800"),
    "another format": lambda kept: kept | {"format": 2},
    "no UTF-8": lambda kept: b'{"format":"\xff\xfe"}',
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_damaged_in_the_state_is_set_aside_and_told_and_the_next_look_is_as_ever(
    tmp_path: Path, damage: str
) -> None:
    with hook_server() as hook:
        settings = by_hook(tmp_path, hook.url)
        look_and_tell(settings, NOW, finding(alert()))
        path = tmp_path / states.FOLDER / states.FILE
        kept = json.loads(path.read_text())
        done = DAMAGE[damage](kept)
        content = kept if done is None else done
        path.write_bytes(
            content
            if isinstance(content, bytes)
            else content.encode()
            if isinstance(content, str)
            else json.dumps(content).encode()
        )
        assert look_and_tell(settings, NOW + MIN, finding(alert())).told == {"webhook": 2}
        assert look_and_tell(settings, NOW + 2 * MIN, finding(alert())).line == "1 alert"
    told = json.loads(hook.requests[1][2])["data"]["alerts"]
    assert {each["kind"] for each in told} == {"low_disk", "cannot_look"}
    assert (tmp_path / states.FOLDER / "state.json.damaged").exists()


def test_a_folder_in_the_place_of_the_state_is_set_aside_each_time(tmp_path: Path) -> None:
    path = tmp_path / states.FOLDER / states.FILE
    for number in range(2):
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)
        assert look_and_tell(Settings(data=tmp_path), NOW + number, finding()).open == 1
    assert len(states.set_aside_before(tmp_path)) == 2


def test_killed_while_sending_the_same_message_is_sent_first_and_what_came_since_in_another(
    tmp_path: Path,
) -> None:
    with hook_server() as hook:
        killed_while_sending(tmp_path, hook)
        both = finding(alert(), alert("two"))
        assert look_and_tell(by_hook(tmp_path, hook.url), None, both).told == {"webhook": 2}
        look_and_tell(by_hook(tmp_path, hook.url), None, both)
    (first, again, other) = hook.requests
    assert (first[1]["webhook-id"], first[2]) == (again[1]["webhook-id"], again[2])
    assert other[1]["webhook-id"] != first[1]["webhook-id"]
    assert [each["subject"] for each in json.loads(other[2])["data"]["alerts"]] == ["two"]


def test_a_name_that_is_no_text_is_told_and_kept(tmp_path: Path) -> None:
    with hook_server() as hook:
        settings = by_hook(tmp_path, hook.url)
        for minute in range(2):
            look_and_tell(settings, NOW + minute * MIN, finding(alert("odd\udcff")))
    assert json.loads(hook.requests[0][2])["data"]["alerts"][0]["subject"] == "odd?"
    assert len(hook.requests) == 1


def test_a_message_says_which_installation_it_is_from(tmp_path: Path) -> None:
    with hook_server() as hook:
        settings = by_hook(
            tmp_path,
            hook.url,
            dagster_url="https://dagster.example.com",
            docs_url="https://docs.example.com/d/",
        )
        look_and_tell(settings, NOW, finding(alert()))
    data = json.loads(hook.requests[0][2])["data"]
    assert data["installation"] == {
        "host": socket.gethostname(),
        "data": str(tmp_path),
        "dagster_url": "https://dagster.example.com",
    }
    assert data["alerts"][0]["link"] == "https://docs.example.com/d/operations.md#low_disk"


def test_a_mail_that_only_tells_what_is_over_says_nothing_of_hearing_it_again(tmp_path: Path) -> None:
    with mail_server() as server:
        settings = by_mail(tmp_path, server.port)
        look_and_tell(settings, NOW, finding(alert()))
        look_and_tell(settings, NOW + MIN, finding())
        look_and_tell(settings, NOW + MIN + SETTLE_US, finding())
    text = unwrapped(server.messages[1])
    assert "It was seen at 2026-11-30" in text and "lasted" not in text and "again after" not in text
    assert "again after 6 h" in unwrapped(server.messages[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_root_looks_at_once_stays_the_service_users(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    look_and_tell(Settings(data=data), NOW, finding(alert()))
    failures.note(data, "marts", None, "r1", NOW)
    for path in (data / states.FOLDER, *(data / states.FOLDER).iterdir()):
        assert path.stat().st_uid == 65534, path.name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_root_gives_nobody_a_file_of_another_through_a_second_name(tmp_path: Path) -> None:
    data, others = tmp_path / "data", tmp_path / "others"
    (data / states.FOLDER).mkdir(parents=True)
    for path in (data, data / states.FOLDER):
        os.chown(path, 65534, 65534)
    others.write_text("secret")
    os.link(others, data / states.FOLDER / ".lock")
    with pytest.raises(PermissionError, match="second name"):
        look_and_tell(Settings(data=data), NOW, finding())
    assert others.stat().st_uid == 0 and others.read_text() == "secret"
