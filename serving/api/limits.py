"""Rate limits: of a key, of an address without one, of a hub. Kept in each worker's memory."""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from ingest.logs.forwarded import client_of
from serving.api.caller import Caller
from serving.api.problems import Problem
from serving.api.settings import ApiSettings

HUBS = "/v1/hints/"  # hubs have no key of ours, and bring the news of many podcasts


class Limiter:
    """Counts requests."""

    def __init__(self, settings: ApiSettings) -> None:
        self._of_key = _item(settings.rate)
        self._of_address = _item(settings.public_rate)
        self._of_hub = _item(settings.hub_rate)
        self._proxies = settings.trusted_proxies
        self._strategy = FixedWindowRateLimiter(MemoryStorage())

    def admit(self, caller: Caller | None, path: str, connecting: str, forwarded_for: bytes) -> None:
        """Raises Problem: 429, with the seconds to wait. `caller` None: its key was refused."""
        if caller is not None and caller.key_id is not None:
            item, who = self._of_key, f"key {caller.key_id}"
        else:
            item = self._of_hub if path.startswith(HUBS) else self._of_address
            who = self._network(connecting, forwarded_for) if item else ""
        if item is None or self._strategy.hit(item, who):
            return
        reset_s = self._strategy.get_window_stats(item, who).reset_time
        wait_s = max(1, math.ceil(reset_s - time.time()))
        raise Problem(
            429,
            "Too many requests",
            f"No more than {item} are answered: wait {wait_s} s",
            headers={"retry-after": str(wait_s)},
        )

    def _network(self, connecting: str, forwarded_for: bytes) -> str:
        """The address whose requests are counted; of IPv6 the /64, since a client has all of one."""
        client = connecting
        if self._proxies:
            client = client_of(connecting, forwarded_for.decode("latin-1"), self._proxies) or connecting
        try:
            address = ipaddress.ip_address(client)
        except ValueError:  # a socket's name
            return client
        if address.version == 6:
            return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)).network_address)
        return client


def _item(rate: str) -> RateLimitItem | None:
    return None if rate == "0" else parse(rate)
