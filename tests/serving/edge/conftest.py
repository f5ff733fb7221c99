"""A real nginx for the tests of the prefix; without one they are left out, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from earshot.made_up import edge as edges
from earshot.made_up.edge import Edge
from ingest.settings import Settings

HOSTS = (
    "media.example.com",
    "cdn.example.org",
    "port.example.org:8443",
    "media.blubrry.com",
    "xn--bcher-kva.example",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not edges.is_there():
        here = Path(__file__).parent
        skip = pytest.mark.skip(reason="nginx is not installed (apt-get install nginx-light)")
        for item in items:
            if here in item.path.parents and "edge" in getattr(item, "fixturenames", ()):
                item.add_marker(skip)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """With HOSTS registered, on IPv4 and IPv6, without limits."""
    data = tmp_path_factory.mktemp("edge")
    platform = Settings(data=data, prefix_hosts="pfx.example.net", settle_s=0)
    with edges.running(platform, *HOSTS, on_ipv6=True, rate=0, workers=2) as running:
        yield running
