"""`make unit`: dbt build with unit tests, twice, on a small lake made by the real ingest.

The last show is in no list: its feed tells of it. The second build must find nothing new to count: building
again is free of effects.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from earshot.made_up import world as worlds
from earshot.pipeline import DbtFailed, run_dbt
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.prefixes import PrefixRules
from ingest.logs.urls import canonical_url
from ingest.settings import Settings
from tests.dbt.feed_lakes import (
    change,
    commit,
    episode,
    podcast,
    polled,
    registered,
    set_registered,
    set_state,
)
from tests.dbt.lakes import marts

PODCAST = 1
OF_A_FEED = "of-a-feed"  # the show id it is registered with


def main() -> int:
    """Exit code 0 when every model builds and every test passes."""
    with tempfile.TemporaryDirectory(prefix="earshot-small-lake-") as folder:
        settings = Settings(data=Path(folder) / "data", settle_s=0)
        world = worlds.build(worlds.WorldSpec(shows=5, days=2, lines=2000))
        worlds.write(world, settings.landing_dir)
        listed = dataclasses.replace(world, shows=world.shows[:-1])
        worlds.write_catalog(listed, settings.landing_dir / "catalog" / "episodes.csv")
        lake = Lake(settings.lake_dir)
        take_in_catalog([settings.landing_dir / "catalog" / "episodes.csv"], lake)
        add_feed(lake, world.shows[-1])
        take_in(find_landing_files(settings), settings, lake)
        try:
            run_dbt(settings, ["build"], print)
            first = marts(settings.warehouse)
            run_dbt(settings, ["build", "--exclude-resource-type", "unit_test", "--quiet"], print)
        except DbtFailed as error:
            print(error, file=sys.stderr)
            return 1
        if marts(settings.warehouse) != first:
            print("a second build changed the marts", file=sys.stderr)
            return 1
        if not any(OF_A_FEED in row for row in first["fct_show_daily"]):
            print("nothing of the show that only its feed tells of was counted", file=sys.stderr)
            return 1
        return 0


def add_feed(lake: Lake, show: list[worlds.Target]) -> None:
    """The podcast of `show` after its first poll, and one that is only registered."""
    episodes = []
    for number, target in enumerate(show, 1):
        url = canonical_url(target.enclosure_url, PrefixRules.built_in())
        facts = {
            "episode_key": number,
            "guid": target.episode_id,
            "title": target.title,
            "published_us": target.published_ms * 1000,
            "enclosure_url": target.enclosure_url,
            "enclosure_canonical": url,
            "enclosure_urls": [url],
            "enclosure_bytes": target.file_bytes,
            "duration_s": target.duration_s,
        }
        episodes.append(episode(PODCAST, "", 1, **facts))
    added = change(
        PODCAST, 1, "podcast.added", episodes[0]["first_seen_us"], is_minor=True, record={"title": "F"}
    )
    items = {"podcast_key": PODCAST, "published_us": [row["published_us"] for row in episodes]}
    commit(lake, 1, [podcast(PODCAST, 1, episode_count=len(show))], episodes, [items], [added])
    set_state(lake, [polled(PODCAST)])
    set_registered(
        lake, [registered(PODCAST, "lead", show_id=OF_A_FEED), registered(PODCAST + 1, "customer")]
    )


if __name__ == "__main__":
    raise SystemExit(main())
