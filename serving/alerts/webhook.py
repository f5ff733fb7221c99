"""Alerts by webhook: signed and sent as every other of ours, to the operator's own address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from serving.alerts.troubles import NotSent
from serving.webhooks.outcomes import Result
from serving.webhooks.send import Sender, SendSettings
from serving.webhooks.sign import headers


@dataclass(frozen=True)
class WebhookChannel:
    """Where webhooks go. Its path may be a token: only the host is told."""

    url: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def send(self, message_id: str, body: bytes, now_us: int, attempt: int = 1) -> str:
        """Returns what the endpoint answered. Raises NotSent, whose message holds neither path nor secret."""
        signed = headers(message_id, body, [self.secret], now_us, attempt)
        result = asyncio.run(self._sent(body, signed))
        if not result.is_success:
            raise NotSent(f"{self.host}: {result.outcome.value} ({result.detail})")
        return f"{self.host} answered {result.status}"

    async def _sent(self, body: bytes, signed: dict[str, str]) -> Result:
        # The operator's own address may be a private one: no guard against strangers is needed.
        own = SendSettings(test_hosts=frozenset({urlsplit(self.url).hostname or ""}), connections=1)
        async with Sender(own) as sender:
            return await sender.post(self.url, body, signed)
