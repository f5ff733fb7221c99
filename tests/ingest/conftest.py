"""A server of reference lists and an installation that fetches from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.reference.lists import built_in
from ingest.reference.refresh import Outcome
from ingest.settings import Settings
from tests.ingest.list_server import Agents, ListServer, look, put_agents, serving, settings_for


@pytest.fixture
def server() -> Iterator[ListServer]:
    with serving() as found:
        yield found


@pytest.fixture
def agents() -> Agents:
    """Our own list, with referrers: a set that may be served as OPAWG's."""
    player = {"name": "Player", "pattern": "://player\\.test/", "examples": ["https://player.test/1"]}
    return {**json.loads(built_in("agents.json")), "referrers": [player]}


@pytest.fixture
def of_agents(tmp_path: Path, server: ListServer, agents: Agents) -> Settings:
    """An installation that has fetched the agents once."""
    put_agents(server, agents)
    settings = settings_for(tmp_path, f'[agents]\nurl = "{server.url}/src/"\n')
    assert look(settings, "agents").outcome is Outcome.UPDATED
    return settings
