"""Connections go to public addresses only, whatever name, literal or resolver leads elsewhere."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import replace

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.fetch import Answer, Ask, Fetcher, FetchSettings
from ingest.feeds.guard import Guard, PrivateAddress, refusal
from ingest.feeds.reasons import Reason
from tests.ingest.feeds.fetching import FEED, LOCAL
from tests.ingest.feeds.raw_server import RawServer, always, answer

GUARDED = replace(LOCAL, test_hosts=frozenset(), names_s=0)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",  # Alibaba's metadata
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",  # Oracle's metadata
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.7",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:169.254.169.254",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",  # a network's own NAT64: whose addresses it leads to nobody knows
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2002:100::",  # 6to4, whatever it leads to
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "fc00::1",
        "fd00:ec2::254",  # AWS's metadata
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%1",
        "fec0::1",
        "ff02::1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "1.1.1.1 ",
        "localhost",
        "",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert refusal(address)
    with pytest.raises(PrivateAddress):
        Guard().open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_what_is_public_is_not(address: str) -> None:
    assert refusal(address) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_dress(address: ipaddress.IPv4Address) -> None:
    plain = refusal(str(address))
    assert plain or address.is_global  # nothing Python knows as private passes
    number = int(address)
    for dressed in (0xFFFF << 32 | number, 0x64FF9B << 96 | number):
        assert refusal(str(ipaddress.IPv6Address(dressed))) == plain
    assert refusal(str(ipaddress.IPv6Address(0x2002 << 112 | number << 80))) == "a 6to4 tunnel"


@given(st.ip_addresses(v=6))
def test_nothing_that_python_knows_as_private_passes(address: ipaddress.IPv6Address) -> None:
    assert refusal(str(address)) or address.is_global


def test_test_hosts_are_let_through_and_no_others() -> None:
    guard = Guard({"127.0.0.1", "10.1.0.0/16", "::1", "Localhost"})
    for address in ("127.0.0.1", "10.1.2.3", "::1"):
        guard.check(address, 80)
    for address in ("127.0.0.2", "10.2.0.1", "fe80::1%1", "localhost"):
        with pytest.raises(PrivateAddress):
            guard.check(address, 80)
    with pytest.raises(ValueError, match="no network"):
        Guard({"10.0.0.0/40"})


class Fickle(AbstractResolver):
    """Answers from a list, the last one for ever."""

    def __init__(self, port: int, *answers: tuple[str, ...]) -> None:
        self.port, self.answers, self.asked = port, list(answers), 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=self.port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None: ...


def ask_twice(settings: FetchSettings, *answers: tuple[str, ...]) -> tuple[Answer, Answer, int, int]:
    """The answers, how often the name was looked up and how many requests the private server got."""

    async def go() -> tuple[Answer, Answer, int, int]:
        async with RawServer(always(answer(200, ("Connection", "close"), body=FEED))) as server:
            resolver = Fickle(server.port, *answers)
            async with Fetcher(settings, resolver) as fetcher:
                first = await fetcher.fetch(Ask(1, "http://fickle.example/"))
                second = await fetcher.fetch(Ask(1, "http://fickle.example/"))
            return first, second, resolver.asked, len(server.requests)

    return asyncio.run(go())


def test_a_name_that_turns_private_is_refused_at_the_connection() -> None:
    # 127.0.0.1 stands for the public address (a test host), 127.0.0.2 for this machine's own services:
    # the server listens on the first only, so a request that got through would be a refused connection.
    settings = replace(GUARDED, test_hosts=frozenset({"127.0.0.1"}))
    first, second, asked, _ = ask_twice(settings, ("127.0.0.1",), ("127.0.0.2",))
    assert first.body == FEED
    assert (second.status, second.reason, asked) == (None, Reason.PRIVATE_ADDRESS, 2)


def test_a_name_with_a_public_and_then_a_private_address_never_reaches_the_private_one() -> None:
    # 192.0.2.1 is refused too, being for documentation: no test may call out.
    for addresses in (
        ("127.0.0.1",),
        ("192.0.2.1", "127.0.0.1"),
        ("::1", "127.0.0.1"),
        ("::ffff:127.0.0.1",),
    ):
        first, _, _, requests = ask_twice(GUARDED, addresses)
        assert (first.reason, requests) == (Reason.PRIVATE_ADDRESS, 0)


def test_private_addresses_of_a_name_are_passed_over() -> None:
    settings = replace(GUARDED, test_hosts=frozenset({"127.0.0.1"}))
    first, *_ = ask_twice(settings, ("10.0.0.1", "127.0.0.1"))
    assert first.body == FEED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_this_machine_is_not_fetched_from(host: str) -> None:
    async def go() -> tuple[Answer, int]:
        async with RawServer(always(answer(200, body=FEED))) as server, Fetcher(GUARDED) as fetcher:
            return await fetcher.fetch(Ask(1, f"http://{host}:{server.port}/")), server.connections

    found, connections = asyncio.run(go())
    assert (found.status, found.reason, connections) == (None, Reason.PRIVATE_ADDRESS, 0)
    assert found.detail.endswith(": not a public address")


def test_names_can_be_led_to_a_local_server() -> None:
    async def go() -> tuple[Answer, Answer, bytes]:
        async with RawServer(always(answer(200, body=FEED))) as server:
            settings = replace(GUARDED, resolve={"feeds.example": server.address})
            async with Fetcher(settings) as fetcher:
                led = await fetcher.fetch(Ask(1, "http://feeds.example/a"))
                other = await fetcher.fetch(Ask(1, f"http://localhost:{server.port + 1}/"))
            return led, other, server.requests[0].headers["host"]

    led, other, host = asyncio.run(go())
    assert (led.body, host) == (FEED, b"feeds.example")
    assert other.reason is Reason.PRIVATE_ADDRESS


def test_a_test_host_may_be_a_name() -> None:
    async def go() -> Answer:
        settings = replace(GUARDED, test_hosts=frozenset({"localhost"}))
        async with RawServer(always(answer(200, body=FEED))) as server, Fetcher(settings) as fetcher:
            return await fetcher.fetch(Ask(1, f"http://localhost:{server.port}/"))

    assert asyncio.run(go()).body == FEED
