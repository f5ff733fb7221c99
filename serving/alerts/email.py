"""Alerts by e-mail: SMTP with STARTTLS or TLS, bounded in time; what fails is a line for people."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from enum import StrEnum
from typing import Any

from serving.alerts.troubles import NotSent, PartlySent
from serving.webhooks.outcomes import printable

TIMEOUT_S = 10.0  # of each answer of the server
WHOLE_S = 25.0  # of all of it: the sensor that waits for it has a minute
MOST_BYTES = 64 * 1024  # of all a server says: what is more is no mail server's answer
_DETAIL_CHARS = 300
_WORD_BYTES = 39  # of an encoded word: with what is before it 76 characters a line


class Security(StrEnum):
    """How the connection is kept secret."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"  # to a server on this machine only


@dataclass(frozen=True)
class EmailChannel:
    """Where e-mails go."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def send(self, message_id: str, subject: str, text: str, now_us: int) -> str:
        """Returns what the server answered. Raises NotSent, whose message never holds the password."""
        message = EmailMessage(policy=SMTP)
        message["From"], message["To"] = self.sender, ", ".join(self.recipients)
        message["Date"] = formatdate(now_us / 1e6, usegmt=True)
        # The same news has the same id: mail programs show what came twice once.
        message["Message-ID"] = f"<{message_id}@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation answers
        message.set_content(text)
        content = b"Subject: " + encoded(subject) + b"\r\n" + message.as_bytes()
        try:
            with self._connected() as smtp:
                refused = smtp.sendmail(self.sender, list(self.recipients), content)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSent(self._told(error)) from None  # the cause may hold what we hide
        if refused:
            named = "; ".join(f"{who}: {self._said(*why)}" for who, why in sorted(refused.items()))
            raise PartlySent(f"{self.host} took it for some recipients, but not for {named}")
        return f"{self.host}:{self.port} took it for {', '.join(self.recipients)}"

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        smtp: _Smtp | _SmtpTls
        if self.security is Security.TLS:
            smtp = _SmtpTls(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            smtp = _Smtp(self.host, self.port, timeout=TIMEOUT_S)
        try:
            smtp.ehlo()
            if self.security is Security.STARTTLS:
                smtp.starttls(context=context)
                smtp.ehlo()
            if self.user is not None:
                smtp.login(self.user, self.password or "")
            yield smtp
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()  # it has the message: how it says goodbye is its own affair
        finally:
            smtp.cut.cancel()
            smtp.close()

    def _told(self, error: Exception) -> str:
        where = f"{self.host}:{self.port}"
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            named = "; ".join(f"{who}: {self._said(*why)}" for who, why in sorted(error.recipients.items()))
            return f"{where} refuses the recipients: {named}"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return (
                f"{where} refuses the login of {self.user}: {self._said(error.smtp_code, error.smtp_error)}"
            )
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{where} refuses: {self._said(error.smtp_code, error.smtp_error)}"
        if isinstance(error, UnicodeError):  # what it says has a sign of the password
            return f"{where} cannot be told what is not ASCII"
        if isinstance(error, TimeoutError):
            return f"{where} does not answer within {TIMEOUT_S:g} s"
        if isinstance(error, smtplib.SMTPNotSupportedError) and self.security is Security.STARTTLS:
            return self._clean(f"{where} cannot do what is asked ({error}): EARSHOT_ALERT_SMTP_SECURITY")
        return self._clean(f"{where}: {error or type(error).__name__}")

    def _said(self, code: int, answer: bytes | str) -> str:
        shown = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
        return self._clean(f"{code} {shown}")

    def _clean(self, text: str) -> str:
        """A line for people; a server may repeat what it was sent."""
        if self.password:
            text = text.replace(self.password, "***")
        return printable(text, _DETAIL_CHARS)


def encoded(subject: str) -> bytes:
    """A header's text as it goes over the line (RFC 2047).

    Python 3.11 loses signs and adds spaces where it folds a text that is not ASCII.
    """
    line = " ".join(subject.split())
    if line.isascii() and line.isprintable() and "=?" not in line:
        return line.encode()
    words = [""]
    for sign in line:
        if len((words[-1] + sign).encode()) > _WORD_BYTES:
            words.append("")
        words[-1] += sign
    return b"\r\n ".join(b"=?utf-8?b?" + base64.b64encode(word.encode()) + b"?=" for word in words)


class _Bounded:
    """A server that sends a byte now and then, or bytes without end, is in time with each: all is bounded."""

    cut: threading.Timer
    file: Any
    _read = 0  # bytes, of all answers

    def connect(self, *args: Any, **given: Any) -> tuple[int, bytes]:
        self.cut = threading.Timer(WHOLE_S, _cut, [self])
        self.cut.daemon = True
        self.cut.start()
        return super().connect(*args, **given)  # type: ignore[misc,no-any-return]

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = _Counted(self.sock.makefile("rb"), self)  # type: ignore[attr-defined]
        return super().getreply()  # type: ignore[misc,no-any-return]

    def count(self, read: int) -> None:
        """Raises OSError, which smtplib takes for the end of the connection."""
        self._read += read
        if self._read > MOST_BYTES:
            raise OSError(f"the server says more than {MOST_BYTES // 1024} KiB")


class _Counted:
    """What smtplib needs of the file it reads answers from."""

    def __init__(self, file: Any, of: _Bounded) -> None:
        self._file, self._of = file, of

    def readline(self, most: int) -> bytes:
        line: bytes = self._file.readline(most)
        self._of.count(len(line))
        return line

    def close(self) -> None:
        self._file.close()


class _Smtp(_Bounded, smtplib.SMTP):
    """Plain at first."""


class _SmtpTls(_Bounded, smtplib.SMTP_SSL):
    """TLS from the first byte on."""


def _cut(smtp: smtplib.SMTP) -> None:
    with contextlib.suppress(OSError, AttributeError):
        if smtp.sock is not None:
            smtp.sock.shutdown(socket.SHUT_RDWR)
