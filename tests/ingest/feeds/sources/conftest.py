"""A server that each test has answer as it likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ingest.feeds.sources.server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found
