"""Which podcasts a tenant may see."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from ingest.feeds.urls import podcast_key
from registry.podcasts import Crawled, deregister, record_crawl, register
from registry.registration import registration
from registry.visible import Named, VisiblePodcasts, find_among, tracked_by, tracked_by_others

OURS, THEIRS, BOTH = (f"https://feeds.example/{name}.xml" for name in ("ours", "theirs", "both"))


@pytest.fixture
def tracked(engine: Engine) -> Engine:
    wanted = [
        registration(OURS, "us", ["a"], guid="one-guid", itunes_id="5", show_id="show-5"),
        registration(THEIRS, "them", ["b"], guid="one-guid", itunes_id="5", show_id="show-5"),
        registration(BOTH, "us", ["c"], guid="both-guid"),
        registration(BOTH, "them", ["d"]),
    ]
    register(engine, wanted, 1)
    return engine


def urls(engine: Engine, tenant: str | None, named: Named = Named()) -> set[str]:
    among = None if tenant is None else VisiblePodcasts(engine).tracked(tenant)
    return {podcast.feed_url for podcast in find_among(engine, named, among)}


@pytest.mark.parametrize(
    "named", [Named(guid="one-guid"), Named(itunes_id=5), Named(show_id="show-5")], ids=["guid", "id", "show"]
)
def test_each_tenant_finds_its_own_of_two_podcasts_named_alike(tracked: Engine, named: Named) -> None:
    assert urls(tracked, "us", named) == {OURS}
    assert urls(tracked, "them", named) == {THEIRS}
    assert urls(tracked, "nobody", named) == set()
    assert urls(tracked, None, named) == {OURS, THEIRS}


def test_another_tenants_podcast_is_not_found_by_any_of_its_names(tracked: Engine) -> None:
    key = podcast_key(THEIRS)
    assert urls(tracked, "us", Named(podcast_key=key)) == urls(tracked, "us", Named(url=THEIRS)) == set()
    assert urls(tracked, "them", Named(podcast_key=key)) == {THEIRS}


def test_a_podcast_is_found_under_the_url_it_moved_to_and_by_the_guid_that_stands_for_its_show(
    tracked: Engine,
) -> None:
    moved = "https://new.example/feed.xml"
    record_crawl(tracked, [Crawled(podcast_key(BOTH), feed_url=moved)])
    assert urls(tracked, "us", Named(url=moved)) == urls(tracked, "us", Named(url=BOTH)) == {moved}
    assert urls(tracked, "us", Named(show_id="both-guid")) == {moved}


def test_pages_follow_each_other(tracked: Engine) -> None:
    mine = VisiblePodcasts(tracked).tracked("us")
    first = find_among(tracked, Named(), mine, limit=1)
    second = find_among(tracked, Named(), mine, first[0].podcast_key, 1)
    assert {each.feed_url for each in (*first, *second)} == {OURS, BOTH}
    assert first[0].podcast_key < second[0].podcast_key


def test_what_a_tenant_tracks_is_known_at_once_when_it_changes(tracked: Engine) -> None:
    visible = VisiblePodcasts(tracked)
    assert visible.tracked("us") == {podcast_key(OURS), podcast_key(BOTH)}
    assert visible.tracked("us") is visible.tracked("us")  # not read again
    deregister(tracked, [podcast_key(OURS)], "us", "left")
    assert visible.tracked("us") == {podcast_key(BOTH)}
    register(tracked, [registration(THEIRS, "us")], 2)
    assert visible.tracked("us") == {podcast_key(BOTH), podcast_key(THEIRS)}
    assert visible.tracked("nobody") == frozenset()


def test_the_podcasts_of_shows_are_those_counted_under_them_while_somebody_tracks_them(
    tracked: Engine,
) -> None:
    visible = VisiblePodcasts(tracked)
    assert visible.of_shows(frozenset({"show-5", "both-guid"})) == {
        podcast_key(url) for url in (OURS, THEIRS, BOTH)
    }
    assert visible.of_shows(frozenset({"one-guid"})) == frozenset()  # it has a show_id of its own
    deregister(tracked, [podcast_key(OURS)], "us", "left")
    assert visible.of_shows(frozenset({"show-5"})) == {podcast_key(THEIRS)}
    assert visible.of_shows(frozenset()) == frozenset()


def test_no_guid_makes_a_podcast_one_of_a_show_that_another_was_registered_as(tracked: Engine) -> None:
    forged = "https://feeds.example/forged.xml"
    register(tracked, [registration(forged, "them", guid="show-5")], 2)
    assert podcast_key(forged) not in VisiblePodcasts(tracked).of_shows(frozenset({"show-5"}))
    assert urls(tracked, None, Named(show_id="show-5")) == {OURS, THEIRS}


def test_which_are_tracked_by_a_tenant_and_which_by_others(tracked: Engine) -> None:
    keys = {podcast_key(url) for url in (OURS, THEIRS, BOTH)}
    assert tracked_by(tracked, "us", keys) == {podcast_key(OURS), podcast_key(BOTH)}
    assert tracked_by_others(tracked, "us", keys) == {podcast_key(THEIRS), podcast_key(BOTH)}
    moved = "https://new.example/feed.xml"
    record_crawl(tracked, [Crawled(podcast_key(THEIRS), feed_url=moved)])
    assert tracked_by_others(tracked, "us", {podcast_key(moved)}) == {podcast_key(moved)}
