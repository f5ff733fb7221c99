"""Podcasts registered, found, listed, deregistered; what the crawler learns of them."""

from __future__ import annotations

import threading

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select

from ingest.feeds.schema import shard_of
from ingest.feeds.urls import podcast_key
from registry import registrations as registering
from registry.batches import batches
from registry.database import writing
from registry.leases import LeaseLost, claim
from registry.podcasts import (
    TRACKED,
    Crawled,
    Deregistered,
    Filter,
    Podcast,
    Registered,
    Registration,
    Tracking,
    by_podcastindex_id,
    deregister,
    find,
    listing,
    record_crawl,
    register,
    tracked,
    tracked_version,
    tracked_versions,
)
from registry.tables import PodcastState, metadata
from registry.tables import podcasts as podcasts_table

A, B = "https://a.example.com/feed.xml", "https://b.example.com/feed.xml"
KEY_A, KEY_B = podcast_key(A), podcast_key(B)
GUID = "917393e3-1b1e-5cef-ace4-edaa54e1f810"


def dump(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Everything that stands in the registry."""
    with engine.connect() as connection:
        return {
            table.name: sorted(tuple(map(str, row)) for row in connection.execute(select(table)))
            for table in metadata.sorted_tables
        }


def only(engine: Engine, what: str = A) -> Podcast:
    (podcast,) = find(engine, what)
    return podcast


def test_a_registered_podcast_is_tracked_from_then_on(engine: Engine) -> None:
    wish = Registration(A, "acme", ("customer",), itunes_id=77, show_id="show-1")
    assert register(engine, [wish], 1_000) == Registered(podcasts=1, registrations=1)
    assert only(engine) == Podcast(
        podcast_key=KEY_A,
        feed_url=A,
        original_url=A,
        podcast_guid=None,
        itunes_id=77,
        podcastindex_id=None,
        show_id="show-1",
        since_us=1_000,
        state=PodcastState.ACTIVE,
        reason=None,
        trackings=(Tracking("acme", ("customer",), 1_000),),
    )


def test_the_same_again_changes_nothing(engine: Engine) -> None:
    wishes = [
        Registration(A, "acme", ("customer", "lead"), GUID, 1, 2, "show", 5),
        Registration(A, "other", ("lead",)),
        Registration(B),
    ]
    assert register(engine, wishes, 1_000) == Registered(podcasts=2, registrations=3)
    before = dump(engine)
    assert register(engine, wishes, 2_000) == Registered(known=3)
    assert dump(engine) == before


def test_a_second_tenant_adds_a_registration_not_a_podcast(engine: Engine) -> None:
    register(engine, [Registration(A, "acme", ("customer",))], 1_000)
    assert register(engine, [Registration(A, "other", ("lead",))], 2_000) == Registered(registrations=1)
    assert only(engine).since_us == 1_000
    assert only(engine).trackings == (
        Tracking("acme", ("customer",), 1_000),
        Tracking("other", ("lead",), 2_000),
    )


def test_labels_merge(engine: Engine) -> None:
    register(engine, [Registration(A, labels=("b",))], 1)
    assert register(engine, [Registration(A, labels=("a", "c"))], 2) == Registered(relabelled=1, known=1)
    assert register(engine, [Registration(A, labels=("c",)), Registration(A)], 3) == Registered(known=2)
    assert only(engine).trackings[0].labels == ("a", "b", "c")


def test_a_label_of_any_letters_is_found_also_after_a_merge(engine: Engine) -> None:
    register(engine, [Registration(A, labels=("müsli",))], 1)
    register(engine, [Registration(A, labels=("kaffee",))], 1)
    assert [podcast.feed_url for podcast in listing(engine, Filter(label="müsli"))] == [A]
    assert listing(engine, Filter(label="müs")) == []


def test_what_one_load_says_twice_is_merged(engine: Engine) -> None:
    http = A.replace("https", "http")  # the same podcast (podcast_key)
    wishes = [
        Registration(A, labels=("a",), itunes_id=1),
        Registration(http, labels=("b",), podcastindex_id=2),
        Registration(A, "other", show_id="s"),
    ]
    assert register(engine, wishes, 1).podcasts == 1
    podcast = only(engine)
    assert (podcast.feed_url, podcast.itunes_id, podcast.podcastindex_id, podcast.show_id) == (A, 1, 2, "s")
    assert [each.labels for each in podcast.trackings] == [("a", "b"), ()]


def test_ids_fill_gaps_and_are_not_overwritten(engine: Engine) -> None:
    register(engine, [Registration(A, itunes_id=1)], 1)
    more = Registration(A, podcast_guid=GUID, itunes_id=2, podcastindex_id=3)
    assert register(engine, [more], 2) == Registered(updated=1, known=1)
    podcast = only(engine)
    assert (podcast.podcast_guid, podcast.itunes_id, podcast.podcastindex_id) == (GUID, 1, 3)
    assert podcast.show_id == GUID


def test_a_show_id_given_later_is_taken(engine: Engine) -> None:
    register(engine, [Registration(A, show_id="old")], 1)
    assert register(engine, [Registration(A, show_id="new")], 2) == Registered(updated=1, known=1)
    assert only(engine).show_id == "new"


def test_a_podcast_stays_until_its_last_tenant_leaves(engine: Engine) -> None:
    register(engine, [Registration(A, "acme"), Registration(A, "other")], 1)
    assert deregister(engine, [KEY_A], "acme", "asked") == Deregistered(registrations=1)
    assert (only(engine).state, only(engine).reason) == ("active", None)
    assert deregister(engine, [KEY_A], "acme", "asked") == Deregistered(not_tracked=1)
    assert deregister(engine, [KEY_A, KEY_B], "other", "asked") == Deregistered(1, 1, not_tracked=1)
    assert (only(engine).state, only(engine).reason, only(engine).trackings) == ("deregistered", "asked", ())


def test_a_deregistered_podcast_comes_back(engine: Engine) -> None:
    register(engine, [Registration(A)], 1)
    deregister(engine, [KEY_A], "default", "asked")
    assert register(engine, [Registration(A)], 5) == Registered(registrations=1, returned=1)
    assert (only(engine).state, only(engine).reason, only(engine).since_us) == ("active", None, 1)


@pytest.mark.parametrize(
    "what",
    [
        str(KEY_A),
        A,
        A.replace("https", "http"),
        "feed://A.example.com/feed.xml",
        GUID,
        GUID.upper(),
        "1234567890",
        "555",
    ],
)
def test_it_is_found_by_key_url_guid_and_ids(engine: Engine, what: str) -> None:
    both = [Registration(A, "t", (), GUID, 1234567890, 555), Registration(B)]
    register(engine, both, 1)
    assert only(engine, what).feed_url == A


@pytest.mark.parametrize("what", ["", "0", "-1", "9" * 30, "https://c.example.com/", GUID, "no url", "%"])
def test_what_is_not_tracked_is_not_found(engine: Engine, what: str) -> None:
    register(engine, [Registration(A)], 1)
    assert find(engine, what) == []


def test_a_guid_in_two_feeds_finds_both(engine: Engine) -> None:
    register(engine, [Registration(A, podcast_guid=GUID), Registration(B, podcast_guid=GUID)], 1)
    assert {podcast.feed_url for podcast in find(engine, GUID)} == {A, B}


def test_podcast_index_ids_lead_to_keys(engine: Engine) -> None:
    register(engine, [Registration(A, podcastindex_id=5), Registration(B)], 1)
    assert by_podcastindex_id(engine, range(1, 2001)) == {5: KEY_A}


def test_filters_narrow_the_listing(engine: Engine) -> None:
    wishes = [
        Registration("https://one.example.com/a", "acme", ("customer",)),
        Registration("https://one.example.com:8080/b", "acme", ("custom",)),
        Registration("https://one.example.com.evil.test/c", "other", ("customer",)),
        Registration("http://two_example.com/d", "other", ("lead",)),
    ]
    register(engine, wishes, 1)
    deregister(engine, [podcast_key(wishes[3].url)], "other", "asked")

    def paths(which: Filter) -> set[str]:
        return {podcast.feed_url[-1] for podcast in listing(engine, which)}

    assert paths(Filter()) == {"a", "b", "c", "d"}
    assert paths(Filter(tenant="acme")) == {"a", "b"}
    assert paths(Filter(label="customer")) == {"a", "c"}
    assert paths(Filter(tenant="acme", label="customer")) == {"a"}
    assert paths(Filter(state=PodcastState.DEREGISTERED)) == {"d"}
    assert paths(Filter(host="ONE.example.com")) == {"a", "b"}
    assert paths(Filter(host="two%example.com")) == set()
    assert paths(Filter(label="cust_mer")) == set()


def test_pages_by_key_hold_every_podcast_once(engine: Engine) -> None:
    urls = {f"https://example.com/{n}" for n in range(25)}
    register(engine, map(Registration, urls), 1)
    pages, after = [], None
    while page := listing(engine, after=after, limit=10):
        pages.append(page)
        after = page[-1].podcast_key
    assert [len(page) for page in pages] == [10, 10, 5]
    keys = [podcast.podcast_key for page in pages for podcast in page]
    assert keys == sorted(map(podcast_key, urls))


def test_a_shard_is_read_as_a_frame(engine: Engine) -> None:
    urls = [f"https://example.com/{n}" for n in range(600)]
    register(engine, [Registration(url, itunes_id=n + 1) for n, url in enumerate(urls)], 1)
    deregister(engine, [podcast_key(urls[0])], "default", "asked")
    frames = [tracked(engine, shard) for shard in range(256)]
    assert all(dict(frame.schema) == TRACKED for frame in frames)
    for shard, frame in enumerate(frames):
        assert all(shard_of(key) == shard for key in frame["podcast_key"])
        assert frame["podcast_key"].is_sorted()
    rows = pl.concat(frames)
    assert dict(rows.select("feed_url", "itunes_id").iter_rows()) == {u: n + 1 for n, u in enumerate(urls)}
    assert rows.filter(state="deregistered")["feed_url"].to_list() == [urls[0]]


def test_a_shards_version_grows_with_its_changes_only(engine: Engine) -> None:
    assert shard_of(KEY_A) != shard_of(KEY_B)

    def version() -> int:
        return tracked_version(engine, shard_of(KEY_A))

    seen = [version()]
    for change in (
        lambda: register(engine, [Registration(A)], 1),
        lambda: register(engine, [Registration(A, labels=("x",))], 1),
        lambda: register(engine, [Registration(A, "other")], 1),
        lambda: record_crawl(engine, [Crawled(KEY_A, podcast_guid=GUID)]),
        lambda: deregister(engine, [KEY_A], "other", "asked"),
        lambda: deregister(engine, [KEY_A], "default", "asked"),
    ):
        change()
        seen.append(version())
    assert seen == sorted(set(seen))
    for nothing in (
        lambda: register(engine, [Registration(B)], 1),
        lambda: deregister(engine, [KEY_A], "default", "asked"),
        lambda: record_crawl(engine, [Crawled(KEY_A, podcast_guid=GUID)]),
    ):
        nothing()
    assert version() == seen[-1]
    assert tracked_versions(engine) == {shard_of(KEY_A): seen[-1], shard_of(KEY_B): 1}


def test_what_the_crawler_learns_is_kept(engine: Engine) -> None:
    register(engine, [Registration(A), Registration(B)], 1)
    learnt = [
        Crawled(KEY_A, "https://new.example.com/a", GUID.upper(), 1, 2),
        Crawled(KEY_B, state=PodcastState.DEAD, reason="dns"),
        Crawled(12345, A),  # nobody knows it
    ]
    assert record_crawl(engine, learnt) == 2
    assert record_crawl(engine, learnt) == 0
    podcast = only(engine)
    assert (podcast.podcast_key, podcast.original_url) == (KEY_A, A)
    assert podcast.feed_url == "https://new.example.com/a"
    assert (podcast.podcast_guid, podcast.itunes_id, podcast.podcastindex_id) == (GUID, 1, 2)
    assert (only(engine, B).state, only(engine, B).reason) == ("dead", "dns")
    record_crawl(engine, [Crawled(KEY_B, state=PodcastState.ACTIVE)])
    assert (only(engine, B).state, only(engine, B).reason) == ("active", None)


def test_a_podcast_that_moved_is_meant_by_its_new_url_too(engine: Engine) -> None:
    new = "https://new.example.com/a"
    register(engine, [Registration(A)], 1)
    record_crawl(engine, [Crawled(KEY_A, new)])
    assert only(engine, new) == only(engine, A)
    assert register(engine, [Registration(new, "other")], 2) == Registered(registrations=1)
    assert [each.tenant for each in only(engine).trackings] == ["default", "other"]
    record_crawl(engine, [Crawled(KEY_A, A)])  # and back
    assert find(engine, new) == []


def test_a_podcast_that_moved_is_deregistered_by_its_new_url_too(engine: Engine) -> None:
    new = "https://new.example.com/a"
    register(engine, [Registration(A)], 1)
    record_crawl(engine, [Crawled(KEY_A, new)])
    assert deregister(engine, [podcast_key(new)], "default", "asked") == Deregistered(1, 1)


def test_a_url_registered_itself_goes_on_to_mean_that_podcast(engine: Engine) -> None:
    register(engine, [Registration(A), Registration(B)], 1)
    record_crawl(engine, [Crawled(KEY_A, B)])
    assert register(engine, [Registration(B, "other")], 2) == Registered(registrations=1)
    assert [each.tenant for each in only(engine, str(KEY_B)).trackings] == ["default", "other"]


def test_the_crawler_does_not_revive_what_was_deregistered(engine: Engine) -> None:
    register(engine, [Registration(A)], 1)
    deregister(engine, [KEY_A], "default", "asked")
    record_crawl(engine, [Crawled(KEY_A, podcast_guid=GUID, state=PodcastState.ACTIVE)])
    assert (only(engine).state, only(engine).podcast_guid) == ("deregistered", GUID)


def test_a_worker_that_lost_its_lease_writes_nothing(engine: Engine) -> None:
    register(engine, [Registration(A)], 1)
    shard = shard_of(KEY_A)
    (old,) = claim(engine, "old", [shard], ttl_s=1, now_us=0)
    (new,) = claim(engine, "new", [shard], ttl_s=1, now_us=2_000_000)
    with pytest.raises(LeaseLost, match=f"shard {shard}"):
        record_crawl(engine, [Crawled(KEY_A, podcast_guid=GUID)], old)
    assert only(engine).podcast_guid is None
    assert record_crawl(engine, [Crawled(KEY_A, podcast_guid=GUID)], new) == 1


def test_loads_at_once_and_a_tenant_leaving_end_without_loss(engine: Engine) -> None:
    urls = [f"https://example.com/{n}" for n in range(300)]
    keys = [podcast_key(url) for url in urls]
    register(engine, [Registration(url, "leaving") for url in urls], 1)
    work = [
        lambda: register(engine, [Registration(url, "one", ("x",)) for url in urls], 1),
        lambda: register(engine, [Registration(url, "one", ("y",)) for url in reversed(urls)], 1),
        lambda: [deregister(engine, some, "leaving", "asked") for some in batches(keys, 50)],
        lambda: [
            record_crawl(engine, [Crawled(key, itunes_id=turn + 1) for key in reversed(keys)])
            for turn in range(5)
        ],
    ]
    errors: list[BaseException] = []

    def run(task: object) -> None:
        try:
            task()  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = listing(engine, limit=1000)
    assert len(found) == 300
    for podcast in found:
        assert (podcast.state, podcast.itunes_id) == ("active", 5)
        assert podcast.trackings == (Tracking("one", ("x", "y"), 1),)


urls = st.sampled_from([f"{scheme}://example.com/{n}" for scheme in ("http", "https") for n in range(4)])
wishes = st.lists(
    st.builds(
        Registration,
        urls,
        st.sampled_from(["acme", "other"]),
        st.sets(st.sampled_from(["a", "b", "c"])).map(lambda labels: tuple(sorted(labels))),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes, st.integers(1, 5))
def test_the_end_is_the_same_however_a_load_is_cut(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, wanted: list[Registration], size: int
) -> None:
    def ends(rows: int) -> dict[tuple[int, str], set[str]]:
        with writing(engine) as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        monkeypatch.setattr(registering, "ROWS", rows)
        monkeypatch.setattr(registering, "SORTED_ROWS", 2 * rows)
        register(engine, wanted, 1)
        return {
            (podcast.podcast_key, each.tenant): set(each.labels)
            for podcast in listing(engine)
            for each in podcast.trackings
        }

    expected: dict[tuple[int, str], set[str]] = {}
    for wish in wanted:
        expected.setdefault((podcast_key(wish.url), wish.tenant), set()).update(wish.labels)
    assert ends(1000) == ends(size) == expected


def test_a_load_that_broke_off_is_done_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registering, "ROWS", 10)
    monkeypatch.setattr(registering, "SORTED_ROWS", 20)
    wanted = [Registration(f"https://example.com/{n}") for n in range(50)]

    def breaking() -> object:
        yield from wanted[:35]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        register(engine, breaking(), 1)  # type: ignore[arg-type]
    assert len(listing(engine)) == 20
    steps: list[int] = []
    assert register(engine, wanted, 1, steps.append) == Registered(podcasts=30, registrations=30, known=20)
    assert steps == [10, 20, 30, 40, 50]


def test_a_podcast_in_another_shard_than_its_key_says_is_refused(engine: Engine) -> None:
    register(engine, [Registration(A)], 1)
    with pytest.raises(Exception, match=r"(?i)check"), writing(engine) as connection:
        connection.execute(podcasts_table.update().values(shard=(shard_of(KEY_A) + 1) % 256))
