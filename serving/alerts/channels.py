"""The channels that the settings ask for, checked; no message here shows a password, secret or URL's path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from ingest.feeds.urls import BadFeedUrl, feed_url
from ingest.settings import PREFIX, SettingError, Settings
from ingest.web import LOCAL_HOSTS
from registry.subscribing import BadSubscription, checked_secret
from serving.alerts import message
from serving.alerts.email import EmailChannel, Security
from serving.alerts.news import Item, about
from serving.alerts.state import Message
from serving.alerts.webhook import WebhookChannel

EMAIL, WEBHOOK = "email", "webhook"
_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
_ADDRESS = re.compile(r"[^@\s,;<>\"()\x00-\x1f\x7f]+@[A-Za-z0-9.-]+")


class Way(Protocol):
    """One channel. The last two return what the other side answered, or raise NotSent."""

    def compose(self, items: Sequence[Item], message_id: str, settings: Settings, now_us: int) -> Message: ...

    def send(self, composed: Message, now_us: int) -> str: ...

    def test(self, message_id: str, settings: Settings, now_us: int) -> str: ...


class _ByEmail:
    def __init__(self, channel: EmailChannel) -> None:
        self._channel = channel

    def compose(self, items: Sequence[Item], message_id: str, settings: Settings, now_us: int) -> Message:
        where = message.Where.of(settings)
        told = message.text(items, where, again_us(settings))
        return Message(message_id, message.subject(items, where), told, about(items))

    def send(self, composed: Message, now_us: int) -> str:
        return self._channel.send(composed.id, composed.subject, composed.text, now_us)

    def test(self, message_id: str, settings: Settings, now_us: int) -> str:
        told = f"{message.TEST_TEXT}\n\nAt {message.Where.of(settings).told}\n"
        return self._channel.send(message_id, message.TEST_SUBJECT, told, now_us)


class _ByWebhook:
    def __init__(self, channel: WebhookChannel) -> None:
        self._channel = channel

    def compose(self, items: Sequence[Item], message_id: str, settings: Settings, now_us: int) -> Message:
        told = message.body(items, message.Where.of(settings), now_us)
        return Message(message_id, "", told, about(items))

    def send(self, composed: Message, now_us: int) -> str:
        return self._channel.send(composed.id, composed.text.encode(), now_us)

    def test(self, message_id: str, settings: Settings, now_us: int) -> str:
        told = message.test_body(now_us, message.Where.of(settings))
        return self._channel.send(message_id, told.encode(), now_us)


def channels(settings: Settings) -> dict[str, Way]:
    """Name → channel, of those that are set. Raises SettingError naming the setting and what is allowed."""
    ways: dict[str, Way] = {}
    if settings.alert_email_to:
        ways[EMAIL] = _ByEmail(email_channel(settings))
    if settings.alert_webhook_url:
        ways[WEBHOOK] = _ByWebhook(webhook_channel(settings))
    return ways


def again_us(settings: Settings) -> int:
    """After how long the same alert is told again, µs."""
    return int(settings.alert_again_h * 3_600_000_000)


def email_channel(settings: Settings) -> EmailChannel:
    """Raises SettingError."""
    recipients = tuple(each.strip() for each in settings.alert_email_to.split(",") if each.strip())
    sender = settings.alert_email_from or recipients[0] if recipients else ""
    for name, addresses in (("EMAIL_TO", recipients or ("",)), ("EMAIL_FROM", (sender,))):
        for address in addresses:
            if not (_ADDRESS.fullmatch(address) and address.isascii()):
                raise _refused(name, f"{address[:80]!r} is no e-mail address; allowed: team@example.com, …")
    security = Security(settings.alert_smtp_security)
    host = settings.alert_smtp_host.strip()
    if not host or not host.isascii() or not host.isprintable() or "/" in host or " " in host:
        raise _refused("SMTP_HOST", "the name of a mail server is needed, such as smtp.example.com")
    if security is Security.NONE and host not in LOCAL_HOSTS:
        raise _refused("SMTP_SECURITY", "none is for a server on this machine; allowed: starttls, tls")
    if settings.alert_smtp_password and not settings.alert_smtp_user:
        raise _refused("SMTP_USER", "there is a password, and no user for it")
    for name in ("user", "password"):
        if not (getattr(settings, f"alert_smtp_{name}") or "").isascii():
            raise _refused(f"SMTP_{name.upper()}", "it has signs beside ASCII, which a login cannot send")
    return EmailChannel(
        host,
        settings.alert_smtp_port or _PORTS[security],
        security,
        sender,
        recipients,
        settings.alert_smtp_user or None,
        settings.alert_smtp_password,
    )


def webhook_channel(settings: Settings) -> WebhookChannel:
    """Raises SettingError."""
    try:
        url = feed_url(settings.alert_webhook_url or "")
    except BadFeedUrl:  # what it says may hold a token
        raise _refused("WEBHOOK_URL", "no https address without a password in it") from None
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS:
        raise _refused("WEBHOOK_URL", "http is for this machine only; allowed: https://…")
    if not settings.alert_webhook_secret:
        raise _refused("WEBHOOK_SECRET", "it is missing: `earshot new-secret` makes one")
    try:
        return WebhookChannel(url, checked_secret(settings.alert_webhook_secret))
    except BadSubscription as error:
        raise _refused("WEBHOOK_SECRET", str(error)) from None


def _refused(name: str, why: str) -> SettingError:
    return SettingError(f"setting {PREFIX}ALERT_{name} cannot be used: {why}")
