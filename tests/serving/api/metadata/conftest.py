"""Podcasts of two tenants in the lake and the registry, one that both track, one that is open to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ingest.feeds.urls import podcast_key
from registry.podcasts import register
from registry.registration import registration
from serving.api.core import Core
from serving.metadata.index import update
from tests.serving.api.conftest import NOW_US
from tests.serving.metadata.lake import change, commit, episode, lake, podcast

URLS = {
    "ann": "https://feeds.example/ann.xml?token=ann-secret",
    "bob": "https://feeds.example/bob.xml?token=bob-secret",
    "both": "https://feeds.example/both.xml",
    "open": "https://feeds.example/open.xml?token=open-secret",
}
KEYS = {name: podcast_key(url) for name, url in URLS.items()}
SEEN = {"ann": {"ann", "both", "open"}, "bob": {"bob", "both", "open"}, None: {"open"}}


@pytest.fixture
def root(core: Core, keys: dict[str, str]) -> Path:
    """The lake, committed, registered and indexed."""
    root = lake(core.settings.platform.lake_dir)
    for name, key in KEYS.items():
        row = podcast(key, f"The {name.title()} Podcast", self_url=URLS[name], owner_name="Owner")
        row |= {"feed_url": URLS[name], "podcast_guid": f"guid-of-{name}"}
        episodes = [episode(key, number, guid=f"{name}-{number}") for number in (1, 2, 3)]
        changes = [change(key, 1, change="podcast.added", fields="[]"), change(key, 2, old="Old", new=name)]
        commit(root, key, sequence=2, podcasts=[row], episodes=episodes, changes=changes)
    wanted = [
        registration(URLS["ann"], "ann", ["hers"], guid="guid-of-ann", itunes_id="11"),
        registration(URLS["bob"], "bob", ["his"], guid="guid-of-bob", itunes_id="11"),
        registration(URLS["both"], "ann", ["hers"], guid="guid-of-both"),
        registration(URLS["both"], "bob", ["his"]),
        registration(URLS["open"], "house", show_id="open-1", guid="guid-of-open"),
    ]
    register(core.engine, wanted, NOW_US)
    update(core.settings.platform)
    return root


@pytest.fixture
def api(client: TestClient, root: Path) -> TestClient:
    return client
