"""A podping that lands brings a change before the podcast is due: all parts as they are in production."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from earshot.made_up.feeds.casting import KINDS
from earshot.made_up.feeds.server import running
from earshot.made_up.feeds.world import FeedWorldSpec, build
from ingest.feeds.sources.settings import FILE
from ingest.feeds.state import find
from ingest.feeds.sweep import Swept
from ingest.feeds.urls import feed_url, podcast_key
from ingest.settings import Settings
from registry.database import connected
from registry.noticed import take_notices
from registry.podcasts import Registration, register
from registry.polling import sweep_shards

HOUR_US = 3600 * 10**6
SPEC = FeedWorldSpec(podcasts=len(KINDS))


def test_a_podping_brings_a_change_before_the_podcast_is_due(tmp_path: Path) -> None:
    world = build(SPEC)
    monthly = next(podcast for podcast in world.podcasts if podcast.kind == "monthly")
    url = feed_url(monthly.urls[0])
    key = podcast_key(url)

    def content(at_us: int) -> bytes:
        return world.answer(monthly.number, at_us, 0).body

    hours = range(SPEC.start_us, SPEC.end_us, HOUR_US)
    before_us = next(at for at in hours if content(at) != content(at + HOUR_US))
    changed_us = before_us + HOUR_US
    data = tmp_path / "data"
    data.mkdir()
    (data / FILE).write_text("[podping]\nsettle_s = 0\n")
    with running({"script": asdict(SPEC)}, tmp_path, before_us) as server:
        (tmp_path / "hosts.json").write_text(json.dumps(server.resolve(world)))
        settings = Settings(data=data, feed_test_hosts="127.0.0.0/8", feed_resolve=tmp_path / "hosts.json")
        with connected(None, data) as engine:
            register(engine, [Registration(url)], before_us)

        def sweep(at_us: int) -> Swept:
            server.set_clock(at_us)
            return sweep_shards(settings, [key & 255], 20, clock=lambda: at_us)

        assert sweep(before_us).total("polled") == 1
        assert sweep(changed_us).total("polled") == 0  # by schedule it is not due
        known = find(settings.lake_dir, key)
        assert known and known["next_due_us"] > changed_us

        stranger = "https://nobody.example.com/feed.xml"
        at = datetime.fromtimestamp(changed_us / 1e6, UTC).replace(tzinfo=None).isoformat()
        notice = {"version": "1.1", "reason": "update", "iris": [stranger, url], "timestamp": at}
        folder = settings.hints_dir / "podping"
        folder.mkdir(parents=True)
        (folder / "1.json.tmp").write_text(json.dumps(notice))
        (folder / "1.json.tmp").rename(folder / "1.json")
        taken = take_notices(settings)
        assert (taken.total("hints"), taken.total("tracked")) == (2, 1)

        swept = sweep(changed_us)
        assert (swept.total("polled"), swept.total("unchanged")) == (1, 0)
        changes = pl.read_parquet(data / "lake" / "changes" / "*" / "*.parquet")
        assert changes.filter(pl.col("sequence") > 1)["detected_us"].unique().to_list() == [changed_us]
        known = find(settings.lake_dir, key)
        assert known and known["hinted_us"] == changed_us
        assert sweep(changed_us).total("polled") == 0  # acted on, once
