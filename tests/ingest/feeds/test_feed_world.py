"""The scripted world of feeds: deterministic, well-formed where it should be, and true to its own script."""

from __future__ import annotations

from collections import Counter
from random import Random
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.made_up.collaborations import make_shows
from earshot.made_up.feeds.casting import KINDS
from earshot.made_up.feeds.content import DAY, HOUR, MINUTE, Feed
from earshot.made_up.feeds.demo import demo_world
from earshot.made_up.feeds.script import Podcast
from earshot.made_up.feeds.truth import LEFT_OUT, expected_changes, observed
from earshot.made_up.feeds.world import FeedWorld, FeedWorldSpec, build
from earshot.made_up.world import WorldSpec
from earshot.made_up.world import build as build_world

SPEC = FeedWorldSpec(podcasts=len(KINDS))
NAMESPACES = {"itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd"}
# What a poll at every version sees is what the script says happened, but for changes that take several polls.
SLOW = {"podcast.moved", "podcast.gone", "podcast.recovered"}


@pytest.fixture(scope="module")
def world() -> FeedWorld:
    return build(SPEC)


def of_kind(world: FeedWorld, kind: str) -> Podcast:
    return next(podcast for podcast in world.podcasts if podcast.kind == kind)


def every(world: FeedWorld, step_us: int) -> list[int]:
    return list(range(world.start_us, world.end_us, step_us))


def changes(world: FeedWorld, kind: str, polls: list[int]) -> Counter[str]:
    """ChangeType → how often."""
    found: Counter[str] = Counter()
    for (change, _, _), times in expected_changes(world, of_kind(world, kind).number, polls).items():
        found[change] += times
    return found


# --- the answers


def test_the_same_spec_gives_the_same_answers(world: FeedWorld) -> None:
    again = build(SPEC)
    for podcast in world.podcasts:
        for at_us in every(world, DAY):
            assert world.answer(podcast.number, at_us) == again.answer(podcast.number, at_us)


def test_another_seed_gives_another_world(world: FeedWorld) -> None:
    other = build(FeedWorldSpec(seed=8, podcasts=1))
    assert other.answer(0, world.start_us) != world.answer(0, world.start_us)


def test_a_sound_answer_is_well_formed_and_holds_the_versions_items(world: FeedWorld) -> None:
    for podcast in world.podcasts:
        if podcast.kind == "wrong about its encoding":
            continue
        for at_us in every(world, DAY):
            seen, answer = world.seen(podcast.number, at_us), world.answer(podcast.number, at_us)
            if seen.feed is None or answer.status != 200:
                continue
            root = ElementTree.fromstring(answer.body)
            titles = [item.findtext("title") for item in root.iterfind("channel/item")]
            assert titles == [item.title for item in seen.feed.items], podcast.kind
            assert root.findtext("channel/title") == seen.feed.channel.title
            for element, item in zip(root.iterfind("channel/item"), seen.feed.items, strict=True):
                enclosure = element.find("enclosure")
                assert enclosure is not None
                assert enclosure.attrib["url"].startswith(item.enclosure_canonical)


def test_a_feed_that_is_wrong_about_its_encoding_is_not_valid_in_the_declared_one(world: FeedWorld) -> None:
    body = world.answer(of_kind(world, "wrong about its encoding").number, world.end_us).body
    assert b'encoding="UTF-8"' in body
    with pytest.raises(UnicodeDecodeError):
        body.decode("utf-8")
    body.decode("cp1252")


def test_tokens_and_build_dates_move_between_two_fetches_of_one_version(world: FeedWorld) -> None:
    for kind in ("tokens at each fetch", "build date at each fetch"):
        number = of_kind(world, kind).number
        first, second = world.start_us + MINUTE, world.start_us + 2 * MINUTE
        assert world.version(number, first) == world.version(number, second)
        assert world.answer(number, first).body != world.answer(number, second).body
        assert expected_changes(world, number, [first, second]) == Counter()


def test_every_trouble_of_the_kinds_is_met(world: FeedWorld) -> None:
    met = {spell.how for podcast in world.podcasts for spell in podcast.spells}
    assert met == {
        "server_error", "busy", "not_found", "gone", "html_page", "truncated", "cut_off", "silent", "endless",
        "moved", "elsewhere", "stranger", "stale", "flapping",
    }  # fmt: skip
    answers = {
        (answer.status, answer.manner)
        for podcast in world.podcasts
        for answer in (world.answer(podcast.number, at_us) for at_us in every(world, HOUR))
    }
    assert {status for status, _ in answers} == {200, 301, 302, 404, 410, 500, 503}
    assert {manner for _, manner in answers} == {"whole", "cut_off", "silent", "endless"}


# --- the truth


def test_polls_at_every_version_see_what_the_script_says_happened(world: FeedWorld) -> None:
    for podcast in world.podcasts:
        if podcast.spells:
            continue
        polls = [world.start_us, *(version.at_us for version in podcast.versions[1:])]
        told = Counter(
            row
            for happened in podcast.happened
            for row in observed([as_row(happened.change, happened.guid, happened.fields)]).elements()
        )
        assert expected_changes(world, podcast.number, polls) == told, podcast.kind


def as_row(change: str, guid: str | None, fields: frozenset[str]) -> dict[str, object]:
    listed = ",".join(f'{{"field":"{field}"}}' for field in sorted(fields))
    return {"change": change, "guid": guid, "fields": f"[{listed}]", "is_minor": False}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), polls=st.integers(2, 40))
def test_creations_and_removals_add_up_to_what_is_in_the_feed(seed: int, polls: int) -> None:
    world = _WORLD
    rng = Random(seed)
    for kind in ("removes episodes", "short window", "no guids", "bursts", "odd dates"):
        podcast = of_kind(world, kind)
        times = sorted(rng.randrange(world.start_us, world.end_us) for _ in range(polls))
        found = expected_changes(world, podcast.number, times)
        first, last = (world.version(podcast.number, t).feed for t in (times[0], times[-1]))
        there = {item.identity for item in first.items}
        assert all(n == 1 for (change, _, _), n in found.items() if change == "episode.created")
        created = {guid for change, guid, _ in found if change == "episode.created"}
        assert not created & there
        assert {item.identity for item in last.items} <= there | created


_WORLD = build(SPEC)


def test_an_edit_that_is_reverted_between_two_polls_is_no_change(world: FeedWorld) -> None:
    number = of_kind(world, "reverts its edits").number
    edits = [h.at_us for h in world.podcasts[number].happened if "title" in h.fields]
    before, after = edits[0] - MINUTE, edits[1] + MINUTE
    assert expected_changes(world, number, [before, edits[0] + MINUTE]) == Counter(
        {("episode.updated", world.podcasts[number].happened[0].guid, frozenset({"title"})): 1}
    )
    assert expected_changes(world, number, [before, after]) == Counter()


def test_two_edits_of_an_episode_between_two_polls_are_one_change(world: FeedWorld) -> None:
    number = of_kind(world, "much edited").number
    found = expected_changes(world, number, [world.start_us, world.end_us])
    guids = [guid for change, guid, _ in found.elements() if change == "episode.updated"]
    assert len(guids) == len(set(guids))
    assert len(world.podcasts[number].happened) > len(guids)


def test_an_episode_that_slides_out_of_the_window_is_not_removed(world: FeedWorld) -> None:
    assert changes(world, "short window", every(world, HOUR))["episode.removed"] == 0
    assert changes(world, "removes episodes", every(world, HOUR))["episode.removed"] > 0


def test_a_move_needs_three_polls_over_two_days_and_the_same_podcast(world: FeedWorld) -> None:
    hourly = every(world, HOUR)
    for kind in ("moves", "moves without a word", "announces, then moves"):
        assert changes(world, kind, hourly)["podcast.moved"] == 1, kind
    for kind in ("redirected for a day", "found elsewhere", "redirected to a stranger"):
        assert changes(world, kind, hourly)["podcast.moved"] == 0, kind
    began = of_kind(world, "moves").spells[0].from_us
    assert changes(world, "moves", [began - HOUR, began + HOUR, began + 2 * HOUR])["podcast.moved"] == 0


def test_gone_needs_three_answers_over_three_days(world: FeedWorld) -> None:
    assert changes(world, "gone for a day", every(world, HOUR))["podcast.gone"] == 0
    assert changes(world, "gone", every(world, HOUR))["podcast.gone"] == 1
    found = changes(world, "gone, comes back", every(world, HOUR))
    assert (found["podcast.gone"], found["podcast.recovered"]) == (1, 1)
    assert changes(world, "not found any more", every(world, HOUR))["podcast.gone"] == 0


def test_outages_cost_no_change_and_make_none(world: FeedWorld) -> None:
    for kind in ("breaks its answers", "breaks its server"):
        podcast = of_kind(world, kind)
        sound = [t for t in every(world, HOUR) if world.seen(podcast.number, t).feed is not None]
        assert len(sound) < len(every(world, HOUR))
        assert expected_changes(world, podcast.number, every(world, HOUR)) == expected_changes(
            world, podcast.number, sound
        )


def test_a_feed_that_alternates_is_told_there_and_back_and_then_held_back(world: FeedWorld) -> None:
    podcast = of_kind(world, "flaps")
    began = podcast.spells[0].from_us
    old, new = (world.version(podcast.number, t).feed for t in (began - 1, world.end_us))
    slots = range(began, began + DAY, 5 * MINUTE)

    def polls(*contents: Feed) -> list[int]:
        """Instants at which these contents are seen, in order."""
        times = [began - HOUR]
        for feed in contents:
            times.append(
                next(t for t in slots if t > times[-1] and world.seen(podcast.number, t).feed == feed)
            )
        return times

    def told(*contents: Feed) -> int:
        return sum(expected_changes(world, podcast.number, polls(*contents)).values())

    assert [told(new), told(new, old)] == [1, 2]  # the second: a correction
    assert [told(*(new, old) * n) for n in range(1, 9)] == [2] * 8
    assert [told(new, old, new, new), told(new, old, new, new, new)] == [2, 3]  # settled


def test_a_live_item_is_announced_goes_live_and_ends(world: FeedWorld) -> None:
    found = expected_changes(world, of_kind(world, "goes live").number, every(world, HOUR))
    assert found["podcast.live", None, frozenset()] == 2
    assert found["podcast.updated", None, frozenset({"podcast_tags"})] >= 6  # announced, live, ended; twice


def test_a_recycled_guid_is_one_episode_that_changes(world: FeedWorld) -> None:
    found = expected_changes(world, of_kind(world, "recycles a guid").number, every(world, 6 * HOUR))
    assert {(change, guid) for change, guid, _ in found} == {("episode.updated", "latest")}
    assert all({"title", "enclosure_canonical", "published_us"} <= fields for _, _, fields in found)


def test_observed_rows_leave_out_what_is_minor() -> None:
    rows = [
        as_row("podcast.added", None, frozenset()),
        {**as_row("episode.updated", "a", frozenset({"title"})), "is_minor": True},
        as_row("episode.updated", "b", frozenset({"title", "description_html", "enclosure_url"})),
        as_row("episode.updated", "c", LEFT_OUT),
    ]
    assert observed(rows) == Counter({("episode.updated", "b", frozenset({"title"})): 1})


# --- the demo


def test_the_demo_has_the_catalogues_episodes_with_their_files() -> None:
    spec = WorldSpec(shows=13, lines=400, days=2)
    shows = build_world(spec).shows + make_shows(spec.start, spec.days)
    world = demo_world(spec.seed, spec.shows, spec.days, spec.start)
    for podcast, episodes in zip(world.podcasts, shows, strict=True):
        assert podcast.show_id == episodes[0].show_id
        last = {item.identity: item for version in podcast.versions for item in version.feed.items}
        for episode in episodes:
            item = last[episode.episode_id]
            assert item.enclosure_canonical == episode.enclosure_url
            assert (item.enclosure_bytes, item.duration_s) == (episode.file_bytes, episode.duration_s)
    assert any(h.change == "episode.created" for p in world.podcasts for h in p.happened)
    assert any("title" in h.fields for p in world.podcasts for h in p.happened)
