"""The address guard: a connection is opened to public addresses only, judged by the very address it goes to.

A name may resolve to a public address when it is looked at and to a private one a moment later. So nothing is
decided by names: `Guard.open_socket` sees the address of each connection at the moment it is made, also that
of a literal, of a redirect and of a name that the resolver answers differently each time.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import lru_cache

# Not public, with what they are (IANA's registries of special-purpose addresses).
_IPV4 = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared by a carrier's customers (CGNAT)",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's metadata service",  # Azure's; the others are link-local
    "169.254.0.0/16": "link-local, where clouds serve metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_IPV6 = {
    "::/128": "this host",
    "::1/128": "loopback",
    "2001::/23": "reserved or a Teredo tunnel",
    "2001:db8::/32": "for documentation",
    "2002::/16": "a 6to4 tunnel",
    "3fff::/20": "for documentation",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "private",
    "ff00::/8": "multicast",
}
_REFUSED = {
    version: tuple((ipaddress.ip_network(network), what) for network, what in table.items())
    for version, table in ((4, _IPV4), (6, _IPV6))
}
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is handed out so far
# IPv6 whose last 32 bits are the IPv4 address it reaches.
_EMBEDDING = (
    ipaddress.IPv6Network("::ffff:0:0/96"),  # mapped
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PrivateAddress(OSError):
    """A connection to an address that is not public was refused; `detail` names it.

    The message is the same for all of a name's addresses: a connector that tries one after the other keeps
    the error's type only then.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("not a public address")
        self.detail = detail


@lru_cache(maxsize=4096)
def refusal(address: str) -> str | None:
    """Why no connection may be made to an address as a socket takes it, or None: it is a public one.

    Only written addresses are public ones: no zone ids, no octal, hex or short forms, no names.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return "an address within a zone"
        if any(found in network for network in _EMBEDDING):
            return refusal(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    for network_, what in _REFUSED[found.version]:
        if found in network_:
            return what
    return None if found.version == 4 or found in _UNICAST else "not a public unicast address"


class Guard:
    """Opens the sockets of a connector. `test_hosts` are names, addresses and networks that may be private.

    A name among them counts once its resolver has told its addresses by `trust`. Raises ValueError for what
    is written like a network and is none.
    """

    def __init__(self, test_hosts: Iterable[str] = ()) -> None:
        names, networks = set(), []
        for host in test_hosts:
            if (network := _network(host)) is None:
                names.add(host.lower())
            else:
                networks.append(network)
        self.test_names = frozenset(names)
        self._networks: tuple[Network, ...] = tuple(networks)
        self._trusted: set[tuple[str, int]] = set()

    def trust(self, address: str, port: int) -> None:
        """Allow one address and port, whatever it is: of a test host, as resolved."""
        self._trusted.add((address, port))

    def check(self, address: str, port: int) -> None:
        """Raises PrivateAddress unless a connection may be made there."""
        if (why := refusal(address)) is None or (address, port) in self._trusted:
            return
        if self._networks and why != "not an address" and "%" not in address:
            found = ipaddress.ip_address(address)
            if any(found in network for network in self._networks):
                return
        raise PrivateAddress(f"{address} is {why}")

    def open_socket(
        self, address: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
    ) -> socket.socket:
        """A socket for an entry of getaddrinfo (a `socket_factory`). Raises PrivateAddress and OSError."""
        family, kind, protocol, _, target = address
        self.check(target[0], target[1])
        return socket.socket(family, kind, protocol)


def _network(host: str) -> Network | None:
    try:
        return ipaddress.ip_network(host.strip("[]"))
    except ValueError:
        if "/" in host:
            raise ValueError(f"test host {host!r} is no network") from None
        return None
