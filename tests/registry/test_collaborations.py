"""Collaborations kept, ended and handed to the marts, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine, func, select

from ingest.feeds.identity import episode_key
from ingest.feeds.schema import COLLABORATIONS
from ingest.lake import Lake
from ingest.schema import DAY_US
from ingest.settings import Settings
from registry.aired import aired, ground
from registry.collaborating import CollaborationWish, wish
from registry.collaboration_doubles import doubles
from registry.collaboration_values import BadCollaboration, Problem
from registry.collaborations import (
    MAX_NEAR,
    NEAR_DAYS,
    CannotEnd,
    CannotRestore,
    Collaboration,
    Outcome,
    UnknownCollaboration,
    Which,
    add,
    end,
    export_collaborations,
    get,
    listing,
    recorded,
    restore,
)
from registry.podcasts import Registration, register
from registry.tables import CollaborationState, CollaborationType, collaborations
from tests.registry.collaboration_rows import KEY_A, KEY_B, KEY_C, NOW_US, A, B, C, polled, us, written

SWAP = CollaborationWish(
    tenant="acme",
    type=CollaborationType.GUEST_SWAP,
    podcast_key=KEY_A,
    partner_key=KEY_B,
    partner_guid="g1",
    episode_key=None,
    inserted_us=None,
    starts_us=us("2026-11-05"),
    ends_us=None,
    cost=None,
    currency=None,
    notes=None,
)
BACK = replace(SWAP, podcast_key=KEY_B, partner_key=KEY_A)
SPOT = replace(
    SWAP,
    type=CollaborationType.HOST_READ,
    partner_guid=None,
    inserted_us=us("2026-11-01"),
    starts_us=us("2026-11-01"),
    ends_us=us("2026-12-01"),
)


@pytest.fixture
def tracked(engine: Engine) -> Engine:
    register(engine, [Registration(url) for url in (A, B, C)], NOW_US)
    return engine


def added(engine: Engine, *wishes: CollaborationWish) -> list[Outcome]:
    return [outcome for _, outcome in add(engine, wishes, NOW_US)]


def one(engine: Engine, wanted: CollaborationWish = SWAP) -> Collaboration:
    ((found, _),) = add(engine, [wanted], NOW_US)
    return found


def test_what_was_recorded_is_read_as_it_was_with_where_its_shows_are(tracked: Engine) -> None:
    wanted = replace(SPOT, cost=99.5, currency="EUR", notes="zwei\nZeilen ö")
    found = one(tracked, wanted)
    assert CollaborationWish(**{name: getattr(found, name) for name in wanted.__dict__}) == wanted
    assert (found.feed_url, found.partner_url) == (A, B)
    assert (found.state, found.ended_us, found.created_us) == (CollaborationState.ACTIVE, None, NOW_US)
    assert get(tracked, found.collaboration_id) == found == listing(tracked)[0]


def test_the_same_again_changes_nothing(tracked: Engine) -> None:
    assert added(tracked, SWAP, SPOT, SWAP) == [Outcome.ADDED, Outcome.ADDED, Outcome.KNOWN]
    before = listing(tracked)
    assert added(tracked, SPOT, SWAP) == [Outcome.KNOWN, Outcome.KNOWN]
    assert listing(tracked) == before


def test_mutual_and_overlapping_ones_stand_beside_each_other(tracked: Engine) -> None:
    others = [
        BACK,
        replace(SWAP, tenant="other"),
        replace(SWAP, type=CollaborationType.PROMO_SWAP),
        replace(SWAP, partner_guid="g2"),
        replace(SWAP, partner_key=KEY_C),
        replace(SWAP, inserted_us=us("2026-11-20")),
        replace(SPOT, inserted_us=us("2026-11-02"), starts_us=us("2026-11-02")),
    ]
    assert set(added(tracked, SWAP, SPOT, *others)) == {Outcome.ADDED}


def test_a_known_one_takes_over_what_is_said_and_keeps_what_is_not(tracked: Engine) -> None:
    priced = replace(SWAP, cost=5.0, currency="EUR", notes="first")
    assert added(tracked, SWAP, priced) == [Outcome.ADDED, Outcome.CHANGED]
    assert added(tracked, replace(SWAP, cost=7.0, currency="USD")) == [Outcome.CHANGED]
    (found,) = listing(tracked)
    assert (found.cost, found.currency, found.notes) == (7.0, "USD", "first")
    assert added(tracked, SWAP) == [Outcome.KNOWN]


def test_a_corrected_air_date_or_end_is_still_the_same_collaboration(tracked: Engine) -> None:
    assert added(tracked, SWAP) == [Outcome.ADDED]
    later = replace(SWAP, starts_us=us("2026-11-06"), episode_key=5, ends_us=us("2026-12-01"))
    assert added(tracked, later) == [Outcome.CHANGED]
    (found,) = listing(tracked)
    assert (found.starts_us, found.episode_key) == (us("2026-11-06"), 5)
    assert found.ends_us == us("2026-12-01")


def test_all_of_a_call_are_recorded_or_none(tracked: Engine) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        add(tracked, [SWAP, replace(SWAP, partner_key=1)], NOW_US)
    assert listing(tracked) == []


def test_at_once_said_twice_it_is_recorded_once(tracked: Engine) -> None:
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.extend(added(tracked, SWAP))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [Outcome.ADDED, *[Outcome.KNOWN] * 3]


def test_they_are_listed_by_start_and_by_what_is_asked_for(tracked: Engine) -> None:
    add(tracked, [SWAP, SPOT, BACK, replace(SWAP, tenant="other", partner_key=KEY_C)], NOW_US)
    end(tracked, 1, us("2026-11-10"), NOW_US)
    end(tracked, 3, NOW_US, NOW_US, is_void=True)

    def ids(**which: object) -> list[int]:
        return [each.collaboration_id for each in listing(tracked, Which(**which))]  # type: ignore[arg-type]

    assert ids() == [2, 1, 3, 4]
    assert ids(with_void=False) == [2, 1, 4]
    assert ids(tenant="other") == ids(partner_key=KEY_C) == [4]
    assert ids(podcast_key=KEY_B) == ids(state=CollaborationState.VOID) == [3]
    assert ids(state=CollaborationState.ENDED) == [1]


def test_one_that_is_stopped_is_over_from_then_on_and_ends_once(tracked: Engine) -> None:
    number = one(tracked).collaboration_id
    ended = end(tracked, number, us("2026-11-10"), NOW_US)
    assert (ended.state, ended.ended_us) == (CollaborationState.ENDED, us("2026-11-10"))
    assert end(tracked, number, us("2026-11-20"), NOW_US) == ended
    assert added(tracked, SWAP) == [Outcome.KNOWN]


def test_one_that_never_took_place_is_void_and_may_be_said_anew(tracked: Engine) -> None:
    number = one(tracked).collaboration_id
    void = end(tracked, number, NOW_US - 1, NOW_US, is_void=True)
    assert void.state is CollaborationState.VOID
    assert added(tracked, SWAP) == [Outcome.ADDED]
    assert end(tracked, number, NOW_US, NOW_US) == void  # nothing more
    ahead = one(tracked, replace(SPOT, inserted_us=NOW_US + 1, starts_us=NOW_US + 1)).collaboration_id
    assert end(tracked, ahead, NOW_US, NOW_US, is_void=True).state is CollaborationState.VOID


@pytest.mark.parametrize("is_ended", [False, True])
def test_one_ends_before_its_start_only_by_being_declared_void(tracked: Engine, is_ended: bool) -> None:
    number = one(tracked).collaboration_id
    if is_ended:
        end(tracked, number, us("2026-11-10"), NOW_US)
    before = get(tracked, number)
    with pytest.raises(CannotEnd, match=r"had not begun by 2020-01-01T00:00:00Z: it starts .* --void"):
        end(tracked, number, us("2020-01-01"), NOW_US)
    assert get(tracked, number) == before


def test_a_void_one_can_be_restored_unless_it_was_said_anew(tracked: Engine) -> None:
    before = one(tracked)
    with pytest.raises(CannotRestore, match="is active, not void"):
        restore(tracked, before.collaboration_id)
    end(tracked, before.collaboration_id, NOW_US, NOW_US, is_void=True)
    assert restore(tracked, before.collaboration_id) == before
    end(tracked, before.collaboration_id, NOW_US, NOW_US, is_void=True)
    again = one(tracked)
    with pytest.raises(CannotRestore, match=f"recorded anew as {again.collaboration_id}"):
        restore(tracked, before.collaboration_id)


def test_one_exposure_that_is_recorded_twice_is_told(tracked: Engine) -> None:
    swap, spot = one(tracked), one(tracked, SPOT)  # an episode, and all of a partner: two things
    assert doubles(tracked, [swap, spot]) == []
    read = one(tracked, replace(SWAP, type=CollaborationType.HOST_READ, tenant="acme"))
    assert doubles(tracked, [read]) == [(read, swap)]
    assert doubles(tracked, [swap, read]) == [(read, swap)]  # of two new ones the later
    after_us = spot.starts_us + 14 * DAY_US  # when the other one is not measured any more
    late = one(tracked, replace(SPOT, inserted_us=after_us, starts_us=after_us))
    assert doubles(tracked, [late]) == []
    end(tracked, swap.collaboration_id, NOW_US, NOW_US, is_void=True)
    assert doubles(tracked, [read]) == []


def test_an_ended_one_can_still_be_declared_void(tracked: Engine) -> None:
    number = one(tracked).collaboration_id
    end(tracked, number, us("2026-11-10"), NOW_US)
    assert end(tracked, number, NOW_US, NOW_US, is_void=True).state is CollaborationState.VOID


def test_none_ends_ahead_of_time_or_after_its_planned_end(tracked: Engine) -> None:
    number = one(tracked, SPOT).collaboration_id
    with pytest.raises(CannotEnd, match="ahead of time"):
        end(tracked, number, NOW_US + 1, NOW_US)
    with pytest.raises(CannotEnd, match="over by then"):
        end(tracked, number, us("2026-12-01"), us("2026-12-24"))
    assert get(tracked, number).state is CollaborationState.ACTIVE


@pytest.mark.parametrize("number", [0, -1, 7, 2**63, 10**30])
def test_an_unknown_one_is_told(tracked: Engine, number: int) -> None:
    for ask in (lambda: get(tracked, number), lambda: end(tracked, number, NOW_US, NOW_US)):
        with pytest.raises(UnknownCollaboration, match=str(number)):
            ask()


# --- what the lake knows


@pytest.fixture
def settings(tmp_path: Path, url: str) -> Settings:
    return Settings(data=tmp_path / "data", registry=url)


def test_episodes_are_known_once_a_feed_was_read(tmp_path: Path) -> None:
    lake = Lake(tmp_path).root
    assert aired(lake, [KEY_A, KEY_B]) == {}
    polled(lake, B, {}, is_read=False)
    assert aired(lake, [KEY_A, KEY_B]) == {}
    polled(lake, B, {})
    assert aired(lake, [KEY_A, KEY_B]) == {KEY_B: {}}
    polled(lake, B, {"g1": "2026-11-05", "g2": None})
    polled(lake, B, {"g1": "2026-11-06"})  # corrected
    found = aired(lake, [KEY_B])[KEY_B]
    assert set(found) == {"g1", "g2"} and set(aired(lake, [KEY_B], ["g2"])[KEY_B]) == {"g2"}
    assert found["g1"] == (episode_key(KEY_B, "g1"), us("2026-11-06"), "Episode g1")


def test_of_two_episodes_of_one_guid_the_one_in_the_feed_counts(tmp_path: Path) -> None:
    lake = Lake(tmp_path).root
    polled(lake, B, {"g1": "2026-11-05"}, key=7)
    polled(lake, B, {"g1": "2026-10-05"}, key=6, left="2026-11-01")
    assert aired(lake, [KEY_B])[KEY_B]["g1"].episode_key == 7


def test_an_episode_answers_to_its_guid_of_now(tmp_path: Path, tracked: Engine) -> None:
    lake = Lake(tmp_path / "lake").root
    one(tracked, replace(SWAP, episode_key=7))
    polled(lake, B, {"g1": "2026-11-05"}, key=7)
    polled(lake, B, {"g1-new": "2026-11-06"}, key=7)
    for guids in (None, ["g1", "g1-new"]):
        assert set(aired(lake, [KEY_B], guids)[KEY_B]) == {"g1-new"}
    row = recorded(tracked, lake).row(0, named=True)
    assert (row["episode_key"], row["starts_us"]) == (7, SWAP.starts_us)  # as it was recorded


def test_a_wish_is_judged_by_this_installation(tracked: Engine, settings: Settings) -> None:
    polled(settings.lake_dir, B, {"g1": "2026-11-05"})
    made, notes = wish(written(starts=""), ground(tracked, settings, NOW_US))
    assert (made.starts_us, made.episode_key) == (us("2026-11-05"), episode_key(KEY_B, "g1"))
    assert (made.podcast_key, made.partner_key, notes) == (KEY_A, KEY_B, [])
    assert ground(tracked, settings, NOW_US).first_day is None
    for day in ("2026-11-03", "2026-11-02"):
        (settings.lake_dir / "requests" / f"day={day}").mkdir()
    assert str(ground(tracked, settings, NOW_US).first_day) == "2026-11-02"


def test_the_marts_have_those_that_took_place_or_will(tracked: Engine, settings: Settings) -> None:
    assert pl.read_parquet(Lake(settings.lake_dir).collaborations_path).schema == COLLABORATIONS
    add(tracked, [SWAP, SPOT, BACK], NOW_US)
    end(tracked, 2, us("2026-11-20"), NOW_US)
    end(tracked, 3, NOW_US, NOW_US, is_void=True)
    assert export_collaborations(settings).is_new
    frame = pl.read_parquet(Lake(settings.lake_dir).collaborations_path)
    assert frame.schema == COLLABORATIONS
    assert frame.select("collaboration_id", "partner_guid", "ends_us", "state").rows() == [
        (1, "g1", None, "active"),
        (2, None, us("2026-11-20"), "ended"),
    ]


def test_the_export_is_written_where_it_says_something_new(tracked: Engine, settings: Settings) -> None:
    assert not export_collaborations(settings).is_new  # none, as before
    one(tracked)
    assert export_collaborations(settings).is_new
    path = Lake(settings.lake_dir).collaborations_path
    before = path.stat().st_mtime_ns
    again = export_collaborations(settings)
    assert (again.collaborations, again.is_new, path.stat().st_mtime_ns) == (1, False, before)


def test_the_export_knows_of_an_episode_what_the_lake_knows_by_then(
    tracked: Engine, settings: Settings
) -> None:
    add(tracked, [SWAP, replace(SWAP, inserted_us=us("2026-11-20"), starts_us=us("2026-11-20"))], NOW_US)
    lake = Lake(settings.lake_dir).root
    assert recorded(tracked, lake)["episode_key"].to_list() == [None, None]
    polled(lake, B, {"g1": "2026-11-07"})
    frame = recorded(tracked, lake)
    assert frame["episode_key"].to_list() == [episode_key(KEY_B, "g1")] * 2
    assert frame["starts_us"].to_list() == [us("2026-11-07"), us("2026-11-20")]


def test_nothing_is_written_to_the_registry_by_the_export(tracked: Engine, settings: Settings) -> None:
    one(tracked)
    polled(settings.lake_dir, B, {"g1": "2026-11-07"})
    export_collaborations(settings)
    with tracked.connect() as connection:
        assert connection.scalar(select(func.count(collaborations.c.episode_key))) == 0


def at(days: float, number: int, tenant: str = "acme") -> CollaborationWish:
    """One of A in an episode of its own, so many days after SWAP."""
    return replace(
        SWAP, tenant=tenant, partner_guid=f"e{number}", starts_us=SWAP.starts_us + int(days * DAY_US)
    )


def test_a_show_has_so_many_collaborations_at_a_time_whoever_records_them(tracked: Engine) -> None:
    add(
        tracked,
        [at(number % NEAR_DAYS, number, f"tenant-{number % 7}") for number in range(MAX_NEAR)],
        NOW_US,
    )
    for start in (0, NEAR_DAYS - 1):
        with pytest.raises(BadCollaboration, match="200 collaborations already") as refused:
            add(tracked, [BACK, at(start, MAX_NEAR)], NOW_US)
        assert (refused.value.field, refused.value.problem) == ("show", Problem.TOO_MANY)
    assert len(listing(tracked)) == MAX_NEAR  # all or none: that of another show neither
    assert added(tracked, at(0, 0, "tenant-0")) == [Outcome.KNOWN]
    assert (
        added(tracked, BACK, at(3 * NEAR_DAYS, MAX_NEAR), at(-1.01 - NEAR_DAYS, MAX_NEAR + 1))
        == [Outcome.ADDED] * 3
    )
    with pytest.raises(BadCollaboration, match="200"):  # nor may a late one be moved among them
        add(tracked, [at(0, MAX_NEAR)], NOW_US)


def test_a_void_collaboration_makes_room(tracked: Engine) -> None:
    first, *_ = add(tracked, [at(0, number) for number in range(MAX_NEAR)], NOW_US)
    with pytest.raises(BadCollaboration):
        add(tracked, [at(0, MAX_NEAR)], NOW_US)
    end(tracked, first[0].collaboration_id, NOW_US, NOW_US, is_void=True)
    assert added(tracked, at(0, MAX_NEAR)) == [Outcome.ADDED]
    with pytest.raises(CannotRestore, match="200 collaborations already"):
        restore(tracked, first[0].collaboration_id)
