"""Answers that are kept: they come from memory while nothing has changed, and never after something has."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ingest.feeds.schema import shard_of
from ingest.feeds.state import folder_of
from registry.podcasts import deregister, register
from registry.registration import registration
from serving.api.core import Core
from serving.api.metadata import search
from serving.metadata.index import index_path, update
from tests.serving.api.conftest import NOW_US, of
from tests.serving.api.metadata.conftest import KEYS, URLS
from tests.serving.metadata.lake import commit, podcast

Keys = dict[str, str]
LONG_AGO_S = 1_700_000_000
BOTH = KEYS["both"]
RECORD, SEARCH = f"/v1/podcasts/{BOTH}", "/v1/search?q=both"


def folder(root: Path) -> Path:
    return folder_of(root, shard_of(BOTH)) / "podcasts"


@pytest.fixture
def settled(core: Core, root: Path) -> Path:
    """The lake as if nothing had been written for long."""
    core.catalogue.search.podcasts("word", None, 1)  # the first reader of all makes files of its own
    index = index_path(core.settings.platform)
    wal = index.resolve().with_name(f"{index.resolve().name}-wal")
    folders = [folder_of(root, shard_of(key)) / "podcasts" for key in KEYS.values()]
    for path in (index, wal, *folders):
        if path.exists():
            os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return root


def asked(api: TestClient, path: str, key: str) -> Any:
    answer = api.get(path, headers=of(key))
    assert answer.status_code == 200, answer.text
    return answer.json()


def title(told: Any) -> str | None:
    record = told["record"] if "record" in told else told["data"][0]
    return None if record is None else record["title"]


@pytest.mark.parametrize("path", [RECORD, SEARCH])
def test_what_has_not_changed_is_not_read_again(
    client: TestClient, settled: Path, keys: Keys, path: str
) -> None:
    first = asked(client, path, keys["ann"])
    assert title(first) == "The Both Podcast"
    for file in folder(settled).iterdir():
        file.unlink()
    os.utime(folder(settled), (LONG_AGO_S, LONG_AGO_S))  # nobody could see that
    assert asked(client, path, keys["ann"]) == first
    os.utime(folder(settled))
    assert title(asked(client, path, keys["ann"])) is None


@pytest.mark.parametrize("path", [RECORD, SEARCH])
def test_a_commit_is_told_at_once(
    client: TestClient, core: Core, settled: Path, keys: Keys, path: str
) -> None:
    assert title(asked(client, path, keys["ann"])) == "The Both Podcast"
    commit(settled, BOTH, sequence=3, podcasts=[podcast(BOTH, "Both, renamed")])
    assert title(asked(client, path, keys["ann"])) == "Both, renamed"
    update(core.settings.platform)
    assert title(asked(client, path, keys["ann"])) == "Both, renamed"
    assert not asked(client, "/v1/search?q=podcast+both", keys["ann"])["data"]


def test_a_registration_and_its_end_are_told_at_once(
    client: TestClient, core: Core, settled: Path, keys: Keys
) -> None:
    assert asked(client, RECORD, keys["ann"])["labels"] == ["hers"]
    register(core.engine, [registration(URLS["both"], "ann", ["more"])], NOW_US + 1)
    assert asked(client, RECORD, keys["ann"])["labels"] == ["hers", "more"]
    assert len(asked(client, SEARCH, keys["ann"])["data"]) == 1
    deregister(core.engine, [BOTH], "ann", "left")
    assert client.get(RECORD, headers=of(keys["ann"])).status_code == 404
    assert asked(client, SEARCH, keys["ann"])["data"] == []
    assert asked(client, RECORD, keys["bob"])["labels"] == ["his"]


def test_a_kept_answer_is_nobody_elses_and_has_its_own_304(
    client: TestClient, settled: Path, keys: Keys
) -> None:
    hers, his = asked(client, RECORD, keys["ann"]), asked(client, RECORD, keys["bob"])
    assert (hers["labels"], his["labels"]) == (["hers"], ["his"])
    assert client.get(RECORD).status_code == 404
    tag = client.get(RECORD, headers=of(keys["ann"])).headers["etag"]
    again = client.get(RECORD, headers=of(keys["ann"]) | {"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(RECORD, headers=of(keys["bob"]) | {"if-none-match": tag}).status_code == 200


def test_who_waits_for_the_lake_lets_others_be_answered(
    client: TestClient, settled: Path, keys: Keys
) -> None:
    asked(client, RECORD, keys["ann"])
    told: list[str | None] = []
    other = f"/v1/podcasts/{KEYS['ann']}"  # never asked for: it must be read
    waits = threading.Thread(target=lambda: told.append(title(asked(client, other, keys["ann"]))))
    with (settled / ".readers.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waits.start()
        began = time.monotonic()
        assert client.get("/health").status_code == 200
        assert title(asked(client, RECORD, keys["ann"])) == "The Both Podcast"  # kept
        assert time.monotonic() - began < 5 and not told
    waits.join(10)
    assert told == ["The Ann Podcast"]


def test_the_last_page_of_a_search_has_no_next(
    client: TestClient, settled: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_DEEPEST", 1)
    first = asked(client, "/v1/search?q=podcast&limit=1", keys["ann"])
    second = asked(client, f"/v1/search?q=podcast&limit=1&cursor={first['next']}", keys["ann"])
    assert (len(second["data"]), second["next"]) == (1, None)
    assert {row["score"] for row in first["data"] + second["data"]} == {None}
