"""What is refused of a collaboration, by name; and what t0 is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.collaborating import MIN_KEEP_DAYS, Aired, CollaborationWish, Ground, Written, wish
from registry.collaboration_days import (
    EXPOSURE_DAYS,
    FOLLOW_UP_DAYS,
    LOOK_BACK_DAYS,
    PLACEBOS_FROM_DAYS,
    TENURE_DAYS,
)
from registry.collaboration_values import BadCollaboration, Problem
from registry.podcasts import Podcast
from registry.tables import CollaborationType, PodcastState
from tests.registry.collaboration_rows import KEY_A, KEY_B, NOW_US, A, B, C, us, written

MACROS = Path(__file__).parents[2] / "dbt_project" / "macros" / "attribution.sql"
EPISODES = {"g1": Aired(11, us("2026-11-05T06:00"), "One"), "undated": Aired(12, None, None)}


def podcast(key: int, url: str, **said: object) -> Podcast:
    known = Podcast(key, url, url, None, None, None, None, 0, PodcastState.ACTIVE, None)
    return replace(known, **said)  # type: ignore[arg-type]


KNOWN = {A: [podcast(KEY_A, A)], B: [podcast(KEY_B, B)]}


def ground(
    known: Mapping[str, list[Podcast]] = KNOWN,
    episodes: Mapping[str, Aired] | None = EPISODES,
    first_day: date | None = date(2026, 1, 1),
    keep_days: int = 210,
) -> Ground:
    return Ground(lambda what: known.get(what, []), lambda _: episodes, first_day, keep_days, NOW_US)


def refused(said: Written, on: Ground | None = None) -> tuple[str, Problem, str]:
    with pytest.raises(BadCollaboration) as error:
        wish(said, on or ground())
    assert str(error.value) == f"{error.value.field}: {error.value.reason}"
    return error.value.field, error.value.problem, error.value.reason


def test_what_was_written_is_what_is_meant() -> None:
    said = written(ends="2026-11-30", cost="99.50", currency="EUR", notes="  they liked it ", tenant="acme")
    assert wish(said, ground()) == (
        CollaborationWish(
            tenant="acme",
            type=CollaborationType.GUEST_SWAP,
            podcast_key=KEY_A,
            partner_key=KEY_B,
            partner_guid="g1",
            episode_key=11,
            inserted_us=us("2026-11-01"),
            starts_us=us("2026-11-05T06:00"),  # the air date, which is the later one
            ends_us=us("2026-12-01"),  # the day is part of it
            cost=99.5,
            currency="EUR",
            notes="they liked it",
        ),
        ["measured: the first 14 days, until 2026-11-19T06:00:00Z"],
    )


@pytest.mark.parametrize(
    ("starts", "t0"),
    [
        ("", "2026-11-05T06:00"),
        ("2026-11-01", "2026-11-05T06:00"),
        ("2026-11-20T08:00+01:00", "2026-11-20T07:00"),
    ],
)
def test_t0_is_the_later_of_air_date_and_insertion(starts: str, t0: str) -> None:
    assert wish(written(starts=starts), ground())[0].starts_us == us(t0)


def test_without_an_episode_it_is_a_time_of_all_of_them_which_may_be_open() -> None:
    made, _ = wish(written(episode="", type="HOST_READ"), ground())
    assert (made.partner_guid, made.episode_key, made.ends_us) == (None, None, None)
    assert (made.starts_us, made.type) == (us("2026-11-01"), CollaborationType.HOST_READ)


def test_an_episode_of_a_podcast_that_was_never_read_is_taken_with_a_note() -> None:
    made, notes = wish(written(episode="whatever"), ground(episodes=None))
    assert (made.partner_guid, made.episode_key) == ("whatever", None)
    assert len(notes) == 1 and "never read yet" in notes[0]


def test_a_show_that_nobody_tracks_any_more_is_taken_with_a_note() -> None:
    gone = {B: [podcast(KEY_B, B, state=PodcastState.DEREGISTERED)]}
    assert "deregistered" in wish(written(), ground(KNOWN | gone))[1][0]


@pytest.mark.parametrize(
    ("said", "field", "problem"),
    [
        (written(partner=A), "partner", Problem.SAME_SHOW),
        (written(show=C), "show", Problem.UNKNOWN_SHOW),
        (written(partner=C), "partner", Problem.UNKNOWN_SHOW),
        (written(partner=" "), "partner", Problem.MISSING),
        (written(partner="\udcff"), "partner", Problem.BAD_VALUE),
        (written(type=""), "type", Problem.MISSING),
        (written(type="swap"), "type", Problem.BAD_VALUE),
        (written(tenant="a b"), "tenant", Problem.BAD_VALUE),
        (written(episode="g2"), "episode", Problem.UNKNOWN_EPISODE),
        (written(episode="", starts=""), "episode", Problem.MISSING),
        (written(episode="undated", starts=""), "starts", Problem.MISSING),
        (written(starts="tomorrow"), "starts", Problem.BAD_VALUE),
        (written(starts="1969-12-31"), "starts", Problem.BAD_VALUE),
        (written(starts="0001-01-01T00:00+14:00"), "starts", Problem.BAD_VALUE),
        (written(starts="2027-11-29T12:00:01"), "starts", Problem.FAR_FUTURE),
        (written(ends="2027-11-30"), "ends", Problem.FAR_FUTURE),
        (written(ends="9999-12-31"), "ends", Problem.FAR_FUTURE),
        (written(ends="2026-11-05T06:00"), "ends", Problem.ENDS_BEFORE_START),
        (written(episode="", ends="2026-10-31"), "ends", Problem.ENDS_BEFORE_START),
        (written(episode="", starts="2025-12-31"), "starts", Problem.BEFORE_DATA),
        (written(cost="100"), "currency", Problem.NO_CURRENCY),
        (written(cost="100", currency="eur"), "currency", Problem.BAD_CURRENCY),
        (written(cost="100", currency="EURO"), "currency", Problem.BAD_CURRENCY),
        (written(cost="100", currency="ABC"), "currency", Problem.BAD_CURRENCY),
        (written(cost="100", currency="DEM"), "currency", Problem.BAD_CURRENCY),
        (written(cost="100", currency="XXX"), "currency", Problem.BAD_CURRENCY),
        (written(cost="-1", currency="EUR"), "cost", Problem.BAD_COST),
        (written(cost="nan", currency="EUR"), "cost", Problem.BAD_COST),
        (written(cost="inf", currency="EUR"), "cost", Problem.BAD_COST),
        (written(cost="1e400", currency="EUR"), "cost", Problem.BAD_COST),
        (written(cost="1,5", currency="EUR"), "cost", Problem.BAD_COST),
        (written(cost="9" * 20, currency="EUR"), "cost", Problem.BAD_COST),
        (written(cost="9" * 10_000, currency="EUR"), "cost", Problem.BAD_COST),
        (written(notes="\x1b[2J"), "notes", Problem.BAD_VALUE),
        (written(notes="x" * 2001), "notes", Problem.BAD_VALUE),
    ],
)
def test_what_cannot_be_is_refused_by_field_and_name(said: Written, field: str, problem: Problem) -> None:
    assert refused(said)[:2] == (field, problem)


def test_an_unknown_show_is_told_how_to_become_known() -> None:
    assert "`earshot register URL`" in refused(written(show=C))[2]


def test_a_password_in_a_url_is_not_repeated() -> None:
    assert "s3cret" not in refused(written(show="https://me:s3cret@example.com/feed"))[2]
    private = "https://me:s3cret@b.example.com/feed"
    on = ground({A: KNOWN[A], B: [podcast(KEY_B, private)]}, episodes=None)
    assert "s3cret" not in wish(written(), on)[1][0]


def test_of_several_podcasts_under_one_guid_one_must_be_named() -> None:
    _, problem, reason = refused(written(), ground(KNOWN | {A: [podcast(1, A), podcast(2, C)]}))
    assert problem is Problem.AMBIGUOUS_SHOW and reason.endswith("name one: 1, 2")


@pytest.mark.parametrize("same", [{"feed_url": A}, {"show_id": "s"}])
def test_one_show_under_two_keys_is_still_one_show(same: dict[str, str]) -> None:
    known = {A: [podcast(KEY_A, A, show_id="s")], B: [podcast(KEY_B, B, **same)]}
    assert refused(written(), ground(known))[1] is Problem.SAME_SHOW


def test_an_unknown_episode_is_told_with_the_newest_ones_and_nothing_of_a_feed_reaches_the_terminal() -> None:
    hostile = {"\x1b[2J": Aired(1, 5, "\x1b]0;owned")}
    reason = refused(written(episode="g2"), ground(episodes=EPISODES | hostile))[2]
    assert "'g1' ('One')" in reason and "\x1b" not in reason
    assert "none at all" in refused(written(), ground(episodes={}))[2]


def test_an_old_episode_before_the_data_may_have_been_put_in_later() -> None:
    on = ground(first_day=date(2026, 11, 10))
    assert "say when" in refused(written(starts=""), on)[2]
    assert wish(written(starts="2026-11-10"), on)[0].starts_us == us("2026-11-10")
    assert wish(written(starts=""), ground(first_day=None))


def test_an_air_date_far_ahead_is_told_as_what_it_is() -> None:
    ahead = {"g1": Aired(1, us("2028-01-01"), None)}
    _, problem, reason = refused(written(), ground(episodes=ahead))
    assert problem is Problem.FAR_FUTURE and "the later of air date and start" in reason


@pytest.mark.parametrize("keep_days", [1, MIN_KEEP_DAYS - 1])
def test_a_retention_that_is_too_short_is_refused_with_the_setting_to_change(keep_days: int) -> None:
    field, problem, reason = refused(written(), ground(keep_days=keep_days))
    assert (field, problem) == ("keep_days", Problem.SHORT_RETENTION)
    assert "EARSHOT_KEEP_DAYS to 184 or more, or to 0" in reason


@pytest.mark.parametrize("keep_days", [0, MIN_KEEP_DAYS])
def test_a_retention_that_is_long_enough_is_fine(keep_days: int) -> None:
    assert wish(written(), ground(keep_days=keep_days))


@pytest.mark.parametrize(("starts", "is_money"), [("2022-12-30", True), ("2023-06-01", False)])
def test_a_currency_counts_while_it_was_money(starts: str, is_money: bool) -> None:
    said = written(episode="", starts=starts, cost="1", currency="HRK")  # Croatia has the euro since 2023
    on = ground(first_day=None)
    if is_money:
        assert wish(said, on)[0].currency == "HRK"
    else:
        assert refused(said, on)[1] is Problem.BAD_CURRENCY


def test_a_currency_without_a_cost_says_nothing() -> None:
    made, _ = wish(written(currency="whatever"), ground())
    assert (made.cost, made.currency) == (None, None)


TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(
    [A, B, "g1", "other", "1e999", "-0", "EUR", "2026-11-01", "9999-12-31T23:59:59.999999-23:59"]
)


@given(st.builds(Written, *[TEXTS] * 10))
def test_any_text_is_a_collaboration_or_refused(said: Written) -> None:
    try:
        made, _ = wish(said, ground())
    except BadCollaboration as error:
        assert error.reason and isinstance(error.problem, Problem)
    else:
        assert made.podcast_key != made.partner_key
        assert made.ends_us is None or made.ends_us > made.starts_us
        assert made.cost is None or (0 <= made.cost < 1e13 and made.currency)


FEW_DAYS = st.integers(-400, 800)


@given(FEW_DAYS, st.none() | FEW_DAYS, st.none() | FEW_DAYS)
def test_what_is_taken_lies_within_the_data_and_a_year(air: int, start: int, end: int) -> None:
    def day(number: int | None) -> str:
        if number is None:
            return ""
        return (datetime.fromtimestamp(NOW_US / 1e6, UTC) + timedelta(days=number)).isoformat()

    aired = {"g1": Aired(1, us("2026-11-29T12:00") + air * 86_400_000_000, None)}
    try:
        made, _ = wish(written(starts=day(start), ends=day(end)), ground(episodes=aired))
    except BadCollaboration as error:
        known = {Problem.FAR_FUTURE, Problem.ENDS_BEFORE_START, Problem.BEFORE_DATA}
        assert error.problem in known
        return
    assert made.starts_us == NOW_US + max(air, air if start is None else start) * 86_400_000_000
    assert us("2026-01-01") <= made.starts_us <= NOW_US + 365 * 86_400_000_000
    assert made.ends_us is None or made.starts_us < made.ends_us


@pytest.mark.parametrize(
    ("ends", "is_told"), [("", False), ("2026-11-10", False), ("2026-11-14", False), ("2026-11-15", True)]
)
def test_what_is_longer_than_is_measured_is_told(ends: str, is_told: bool) -> None:
    notes = wish(written(episode="", ends=ends), ground())[1]
    assert notes == (["measured: the first 14 days, until 2026-11-15T00:00:00Z"] if is_told else [])


@pytest.mark.parametrize(
    ("first_day", "told"),
    [
        (date(2026, 10, 5), "whoever hears it before 2026-11-02 cannot be measured"),
        (date(2026, 10, 4), "some who knew the show already will look new"),
        (date(2026, 9, 3), "some who knew the show already will look new"),
        (date(2026, 9, 2), ""),
        (None, ""),
    ],
)
def test_a_start_too_near_the_first_data_is_told(first_day: date | None, told: str) -> None:
    notes = wish(written(episode=""), ground(first_day=first_day))[1]
    assert len(notes) == bool(told) and told in "".join(notes)


def test_the_days_that_people_are_told_are_those_of_the_models() -> None:
    days = dict(re.findall(r"macro (\w+)_us\(\) %}{{ days_us\(([\d.]+)\) }}", MACROS.read_text("utf-8")))
    assert {
        name: int(days[name]) for name in ("exposure", "follow_up", "tenure", "look_back", "history_from")
    } == {
        "exposure": EXPOSURE_DAYS,
        "follow_up": FOLLOW_UP_DAYS,
        "tenure": TENURE_DAYS,
        "look_back": LOOK_BACK_DAYS,
        "history_from": PLACEBOS_FROM_DAYS,
    }
