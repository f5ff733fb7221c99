"""E-mails at a real mail server: encrypted, with login, refused in part or whole; no secret is told."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from serving.alerts import email, message
from serving.alerts.alert import Kind, Severity
from serving.alerts.email import EmailChannel, Security
from serving.alerts.news import Item, What
from serving.alerts.state import Known
from serving.alerts.troubles import NotSent, PartlySent
from tests.ingest.feeds.raw_server import certificate
from tests.serving.alerts.installation import NOW
from tests.serving.alerts.mail import PASSWORD, USER, MailServer, mail_server


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[1]))
    return tls[0]


def send(server: MailServer, security: Security, **given: object) -> str:
    values = {"user": None, "password": None, "recipients": ("team@example.com",)} | given
    channel = EmailChannel("127.0.0.1", server.port, security, "earshot@example.com", **values)  # type: ignore[arg-type]
    return channel.send("alert_1", "A subject – with signs", "A line.\nAnother, ünïcode.\n", NOW)


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_message_goes_encrypted_and_with_a_login(trusted: ssl.SSLContext, security: Security) -> None:
    with mail_server(trusted, wrapped=security is Security.TLS, login=True) as server:
        answer = send(server, security, user=USER, password=PASSWORD)
    assert answer == f"127.0.0.1:{server.port} took it for team@example.com"
    assert len(server.logins) == 1
    (found,) = server.messages
    assert found["Subject"] == "A subject – with signs"
    assert found.get_content().splitlines() == ["A line.", "Another, ünïcode."]
    assert (found["From"], found["To"]) == ("earshot@example.com", "team@example.com")
    assert found["Message-ID"] == "<alert_1@example.com>"
    assert found["Auto-Submitted"] == "auto-generated"
    assert server.was_secret == [True]


def test_a_wrong_password_is_told_without_it(trusted: ssl.SSLContext) -> None:
    with mail_server(trusted, login=True) as server, pytest.raises(NotSent) as told:
        send(server, Security.STARTTLS, user=USER, password="not the one")
    assert f"refuses the login of {USER}: 535" in str(told.value)
    assert "not the one" not in str(told.value)
    assert told.value.__cause__ is None and server.messages == []


def test_nothing_is_sent_to_a_server_whose_certificate_nobody_vouches_for(
    tls: tuple[ssl.SSLContext, Path],
) -> None:
    with mail_server(tls[0], login=True) as server, pytest.raises(NotSent, match="certificate"):
        send(server, Security.STARTTLS, user=USER, password=PASSWORD)
    assert server.logins == [] and server.messages == []


def test_nothing_is_sent_in_the_clear_where_starttls_is_asked_for_and_not_offered() -> None:
    with mail_server() as server, pytest.raises(NotSent, match="EARSHOT_ALERT_SMTP_SECURITY"):
        send(server, Security.STARTTLS)
    assert server.messages == []


def test_recipients_that_are_refused_are_named_and_the_others_get_it_once() -> None:
    with mail_server() as server:
        server.refuse = {"gone@example.com"}
        with pytest.raises(PartlySent, match=r"not for gone@example\.com: 550 no such mailbox"):
            send(server, Security.NONE, recipients=("team@example.com", "gone@example.com"))
        assert server.recipients == [["team@example.com"]]
        with pytest.raises(NotSent, match=r"refuses the recipients: gone@example\.com: 550") as told:
            send(server, Security.NONE, recipients=("gone@example.com",))
        assert not isinstance(told.value, PartlySent)


def test_a_server_that_refuses_or_is_not_there_is_told_of() -> None:
    with mail_server() as server:
        server.answer = "554 we take nothing today"
        with pytest.raises(NotSent, match="refuses: 554 we take nothing today"):
            send(server, Security.NONE)
    with pytest.raises(NotSent, match="Connection refused"):
        send(server, Security.NONE)


def test_a_server_that_drips_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "WHOLE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    while True:  # each byte in time, and never a whole answer
                        connection.sendall(b"2")
                        time.sleep(0.02)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        house = MailServer(port=listening.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(NotSent):
            send(house, Security.NONE)
    assert time.monotonic() - began < email.TIMEOUT_S


def test_what_strangers_wrote_cannot_add_a_header() -> None:
    wrong = "edge/x\r\nBcc: thief@example.com\r\n\r\nbody\u202e"
    known = Known("files", Kind.REJECTS, "edge", Severity.WARNING, wrong, "Mend it.", 1, None, NOW, NOW, 1)
    items = [Item(What.NEW, known)]
    with mail_server() as server:
        channel = EmailChannel(
            "127.0.0.1", server.port, Security.NONE, "earshot@example.com", ("team@example.com",)
        )
        where = message.Where("here", "/srv/data")
        channel.send("alert_1", message.subject(items, where), message.text(items, where, 1), NOW)
    (found,) = server.messages
    assert found["Bcc"] is None and server.recipients == [["team@example.com"]]
    assert "Bcc: thief@example.com" in found["Subject"] and "\u202e" not in found.get_content()


def test_a_server_that_answers_without_end_is_left_before_its_answer_fills_the_memory() -> None:
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            nonlocal sent
            connection, _ = listening.accept()
            with connection:
                try:
                    connection.sendall(b"220 ok\r\n")
                    while sent < 50_000_000:
                        connection.sendall(b"250-" + b"a" * 8000 + b"\r\n")
                        sent += 8006
                except OSError:
                    pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(NotSent, match="more than 64 KiB"):
            send(MailServer(port=listening.getsockname()[1]), Security.NONE)
        thread.join(20)
    assert sent < 20_000_000, "what the system's buffers hold, and no more"


@pytest.mark.parametrize(
    "subject",
    ["a=b", "grün = Straße=1 – x", "=?utf-8?b?eA==?= is no x", "ein sehr langer Satz über Größen, " * 4],
)
def test_a_subject_arrives_as_it_was_written(subject: str) -> None:
    raw = b"Subject: " + email.encoded(subject) + b"\r\n\r\n"
    assert message_from_bytes(raw, policy=policy.default)["Subject"] == " ".join(subject.split())
    assert all(len(line) <= 76 for line in raw.splitlines()) or subject.isascii()


def test_a_subject_keeps_its_signs_and_whole_words() -> None:
    wrong = "The setting EARSHOT_X = 'a=b' cannot be used because " + "of many words " * 30
    known = Known("disk", Kind.LOW_DISK, "d", Severity.WARNING, wrong, "Mend it.", 1, None, NOW, NOW, 1)
    told = message.subject([Item(What.NEW, known), Item(What.NEW, known)], message.Where("here", "/data"))
    assert len(told) <= 150 and "EARSHOT_X = 'a=b' cannot" in told
    assert told.endswith("… (2 new)") and told.split(" …")[0].rpartition(" ")[2] in ("of", "many", "words")
    with mail_server() as server:
        channel = EmailChannel("127.0.0.1", server.port, Security.NONE, "a@example.com", ("b@example.com",))
        channel.send("alert_1", told, "text", NOW)
    assert server.messages[0]["Subject"] == told
