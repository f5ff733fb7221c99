"""A real mail server on this machine: STARTTLS, TLS or neither, with a login; and what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "earshot", "correct horse battery"


@dataclass
class MailServer:
    """What it got; `answer` to a message, and which recipients it will `refuse`."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    was_secret: list[bool] = field(default_factory=list)  # came over TLS
    logins: list[str] = field(default_factory=list)
    answer: str = "250 OK"
    refuse: set[str] = field(default_factory=set)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            found = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(found, EmailMessage)
            self.messages.append(found)
            self.recipients.append(list(envelope.rcpt_tos))
            transport = server.transport
            assert transport is not None
            self.was_secret.append(transport.get_extra_info("ssl_object") is not None)
        return self.answer

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        is_right = data.login == USER.encode() and data.password == PASSWORD.encode()
        if is_right:
            self.logins.append(mechanism)
        return AuthResult(success=is_right, handled=False)


@contextlib.contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None, *, wrapped: bool = False, login: bool = False
) -> Iterator[MailServer]:
    """A server on a free port. tls: offers STARTTLS, or with `wrapped` speaks TLS from the first byte on."""
    house, ready, loop = MailServer(), threading.Event(), asyncio.new_event_loop()
    servers: list[asyncio.Server] = []

    def session() -> SMTP:
        needs_tls = tls is not None and not wrapped
        return SMTP(
            house,
            hostname="mail.test",
            tls_context=tls if needs_tls else None,
            require_starttls=needs_tls,
            authenticator=house.authenticate if login else None,
            auth_required=login,
            auth_require_tls=needs_tls,
            loop=loop,
        )

    async def start() -> None:
        server = await loop.create_server(session, "127.0.0.1", 0, ssl=tls if wrapped else None)
        servers.append(server)
        house.port = server.sockets[0].getsockname()[1]
        ready.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield house
    finally:
        loop.call_soon_threadsafe(servers[0].close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
