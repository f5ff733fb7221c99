"""What changed, and what of it a subscription asks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine

from ingest.feeds.schema import CHANGES, ChangeType, shard_of
from ingest.feeds.state import changes_folder
from ingest.feeds.urls import podcast_key
from registry.matched import Matched, matched
from registry.podcasts import Registration, register
from registry.subscriptions import get
from tests.registry.webhook_rows import endpoint

DAY_US = 24 * 3600 * 10**6
AT = 20_000 * DAY_US
URLS = [f"https://example.com/{number}" for number in range(4)]
A, B, C, UNTRACKED = map(podcast_key, URLS)
CREATED, UPDATED = ChangeType.EPISODE_CREATED, ChangeType.EPISODE_UPDATED


def changed(
    lake: Path,
    key: int,
    change: ChangeType = CREATED,
    at_us: int = AT,
    fields: Sequence[str] = ("title",),
    is_minor: bool = False,
) -> None:
    folder = changes_folder(lake, at_us)
    folder.mkdir(parents=True, exist_ok=True)
    row: dict[str, Any] = {
        "podcast_key": key,
        "sequence": 1,
        "detected_us": at_us,
        "change": change,
        "fields": json.dumps([{"field": name, "old": '"field":"link"', "new": None} for name in fields]),
        "is_minor": is_minor,
        "shard": shard_of(key),
    }
    number = len(list(folder.iterdir()))
    pl.DataFrame([row], schema=CHANGES).write_parquet(folder / f"{shard_of(key):03}-{number:010}.parquet")


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Path:
    register(engine, [Registration(url, labels=("lead",)) for url in URLS[:2]], 0)
    register(engine, [Registration(URLS[2], tenant="acme")], 0)
    return tmp_path / "lake"


def asked(engine: Engine, lake: Path, since_us: int = AT, **given: Any) -> Matched:
    return matched(engine, lake, get(engine, endpoint(engine, **given)), since_us)


def test_without_a_lake_nothing_changed(engine: Engine, lake: Path) -> None:
    assert asked(engine, lake) == Matched(2, 0, 0, 0, 0)
    assert asked(engine, lake, tenant="nobody") == Matched(0, 0, 0, 0, 0)


def test_only_what_its_tenant_tracks_since_then_counts(engine: Engine, lake: Path) -> None:
    for key in (A, B, C, UNTRACKED):
        changed(lake, key)
    changed(lake, A, at_us=AT - 1)
    changed(lake, A, at_us=AT - DAY_US)
    changed(lake, A, at_us=AT + DAY_US)
    changed(lake, A, ChangeType.PODCAST_ADDED)  # no event
    assert asked(engine, lake) == Matched(2, 3, 3, 3, 3)
    assert asked(engine, lake, tenant="acme") == Matched(1, 1, 1, 1, 1)
    assert asked(engine, lake, AT - 1).changes == 4


def test_each_filter_is_counted_behind_those_before_it(engine: Engine, lake: Path) -> None:
    changed(lake, A)
    changed(lake, A, UPDATED)
    changed(lake, A, UPDATED, fields=["link"])
    changed(lake, A, UPDATED, fields=["enclosure_url"], is_minor=True)
    changed(lake, B, UPDATED)
    only_a = {"podcasts": {"keys": [str(A)]}}
    assert asked(engine, lake, **only_a) == Matched(2, 5, 4, 4, 3)
    assert asked(engine, lake, **only_a, types=[UPDATED]) == Matched(2, 5, 4, 3, 2)
    assert asked(engine, lake, **only_a, types=[UPDATED], fields=["title"]) == Matched(2, 5, 4, 3, 1)
    assert asked(engine, lake, types=[UPDATED], fields=["enclosure_url"]) == Matched(2, 5, 5, 4, 1)
    assert asked(engine, lake, fields=["link"]) == Matched(2, 5, 5, 5, 2)  # the new episode has no filter
    assert asked(engine, lake, podcasts={"labels": ["lead"]}).of_podcasts == 5
    assert asked(engine, lake, podcasts={"labels": ["customer"]}) == Matched(2, 5, 0, 0, 0)
