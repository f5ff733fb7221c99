"""The oracle against arithmetic done by hand, and against what a simulated world knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from bench.attribution_world import WorldSpec, simulate
from tests.attribution.event_log import DAY, MARGIN, EventLog, Settings, cohort
from tests.attribution.numpy_pace import (
    Collaboration,
    calibration,
    estimates,
    last_touch,
    measure,
    overlap,
    placebo_triples,
)
from tests.attribution.worlds import log_of

START_US = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
A, B, C = 0, 1, 2
E = 100  # the promoted episode of B
GENRES = np.array([0, 1, 0])


def events(*rows: tuple[float, int, int, int, int]) -> pl.DataFrame:
    """Rows are (day, address, family, show, episode); the first download is of day 0."""
    table = pl.DataFrame(rows, ["day", "address_key", "family", "show", "episode"], orient="row")
    us = (pl.col("day") * 86_400).cast(pl.Int64) * 1_000_000 + START_US
    return table.with_columns(started_us=us, agent=pl.col("family"), family_key=pl.col("family"))


def log(*rows: tuple[float, int, int, int, int]) -> EventLog:
    anchors = (0.0, 999, 1, C, 1), (200.0, 999, 1, C, 1)  # first and newest download
    return EventLog(events(*anchors, *rows), GENRES)


def exposed(found: EventLog) -> Collaboration:
    return Collaboration(0, A, B, E, MARGIN + 100 * DAY)


def cohort_of(found: EventLog):  # type: ignore[no-untyped-def]
    return cohort(found, found.heard(E, MARGIN + 100 * DAY), A, MARGIN + 144 * DAY)


# Known since day 60 and active on day 90: tenured on day 101.
TENURED = ((60.0, 1, 1, C, 1), (90.0, 1, 1, C, 2), (101.0, 1, 1, B, E))


def test_a_key_that_downloads_a_within_thirty_days_is_a_convert() -> None:
    found = cohort_of(log(*TENURED, (131.0, 1, 1, A, 1)))
    assert (len(found.key), found.converted.sum()) == (1, 1)
    later = cohort_of(log(*TENURED, (131.1, 1, 1, A, 1)))
    assert (len(later.key), later.converted.sum()) == (1, 0)


def test_a_key_that_knew_a_within_sixty_days_is_left_out_and_counted() -> None:
    found = cohort_of(log(*TENURED, (41.0, 1, 1, A, 1)))
    assert (len(found.key), found.known_share) == (0, 1.0)
    forgotten = cohort_of(log(*TENURED, (40.9, 1, 1, A, 1)))
    assert len(forgotten.key) == 1


@pytest.mark.parametrize(
    "rows",
    [
        ((73.1, 1, 1, C, 1), (90.0, 1, 1, C, 2)),  # known for 27.9 days
        ((60.0, 1, 1, C, 1), (72.9, 1, 1, C, 2)),  # silent for 28.1
        ((60.0, 1, 1, C, 1), (100.6, 1, 1, C, 2)),  # but for the same sitting
        ((60.0, 1, 2, C, 1), (90.0, 1, 2, C, 2)),  # another app at the same address
    ],
)
def test_a_key_without_tenure_is_in_no_cohort(rows: tuple[tuple[float, int, int, int, int], ...]) -> None:
    assert len(cohort_of(log(*rows, (101.0, 1, 1, B, E))).key) == 0


def test_an_address_with_six_families_in_a_week_is_shared() -> None:
    five = [(20.0, 1, family, C, 1) for family in range(2, 7)]
    assert len(cohort_of(log(*TENURED, *five)).key) == 1
    assert len(cohort_of(log(*TENURED, *five, (20.1, 1, 7, C, 1))).key) == 0
    # A week began on day 143 (28 May 2026, a Thursday): not over when the follow-up ended, as the one before.
    for day, clean in ((142.0, 0), (143.0, 1)):
        later = [(day, 1, family, C, 1) for family in range(2, 8)]
        assert len(cohort_of(log(*TENURED, *later)).key) == clean
    after = [(150.0, 1, family, C, 1) for family in range(2, 8)]
    assert len(cohort_of(log(*TENURED, *after)).key) == 1


def test_strata_are_what_was_downloaded_in_forty_five_days() -> None:
    # C is of A's genre: two downloads of it, one of B before, the promoted one itself not counted.
    found = cohort_of(log(*TENURED, (80.0, 1, 1, B, 99)))
    assert found.stratum.tolist() == [3]  # 1-3 of the genre, 0-3 of all
    busier = cohort_of(log(*TENURED, *((80.0 + n, 1, 1, B, 90 + n) for n in range(2))))
    assert busier.stratum.tolist() == [4]  # four of all


def test_overlap_shares_what_two_collaborations_could_have_brought() -> None:
    # Heard the other's episode 70 on day 102, a day after e.
    found = log(*TENURED, (102.0, 1, 1, C, 70))
    first = exposed(found)
    second = Collaboration(1, A, C, 70, MARGIN + 102 * DAY)
    airings = pl.DataFrame(schema={"episode": pl.Int32, "show": pl.Int16, "at": pl.Int64})
    group = [measure(found, airings, one, [first, second]) for one in (first, second)]
    matrix = overlap(found, group)

    def g(days: float) -> float:
        return 1 - float(np.exp(-days / 6))

    assert matrix[0, 0] == pytest.approx(g(30))
    assert matrix[0, 1] == pytest.approx(g(29))  # e's follow-up ends 29 days after the second exposure
    assert matrix[1, 0] == pytest.approx(g(31) - g(1))  # in the second's, a day of the first is gone
    assert group[0].theta == 1.0 and not group[0].has_history


def test_who_is_followed_for_half_the_time_counts_half() -> None:
    newest = (116.0, 8, 1, C, 1)  # 15 days after
    found = cohort_of(EventLog(events((0.0, 999, 1, C, 1), *TENURED, newest), GENRES))
    assert found.person_time.sum() == pytest.approx(0.5) and found.counts.sum() == 1


def test_nothing_after_as_of_is_seen() -> None:
    rows = ((0.0, 999, 1, C, 1), *TENURED, (110.0, 1, 1, A, 1))
    seen = EventLog(events(*rows), GENRES, Settings(as_of_us=START_US + 109 * DAY * 1_000))
    assert cohort_of(seen).converted.tolist() == [False]
    assert cohort_of(seen).person_time.sum() == pytest.approx(8 / 30)


def test_a_panel_is_of_the_keys_that_begin_with_zeros() -> None:
    addresses = [-5, 3, 1, 1 << 62, 7]
    rows = [(day, address, 0, C, 1) for address in addresses for day in (60.0, 90.0, 101.0)]
    found = EventLog(events(*rows), GENRES)
    kept = [found.device_key[found.in_panel(bits)].tolist() for bits in (0, 1, 2)]
    assert kept == [[-5, 1, 3, 7, 1 << 62], [1, 3, 7, 1 << 62], [1, 3, 7]]


def test_last_touch_credits_the_last_episode_heard() -> None:
    heard = [(101.0, 1, 1, B, E), (103.0, 1, 1, C, 70), (110.0, 1, 1, A, 1)]
    t0 = [START_US + day * DAY * 1_000 for day in (100, 102)]
    collaborations = pl.DataFrame(
        {"collaboration": [0, 1], "show": [A, A], "partner": [B, C], "episode": [E, 70], "started_us": t0}
    )
    assert last_touch(events(*heard), collaborations)["credited"].to_list() == [0, 1]


def test_k_is_never_below_the_normal_one() -> None:
    assert calibration(np.array([0.1, -0.2, 0.3])) == 1.645
    assert calibration(np.array([3.0] * 20)) == pytest.approx(3.0)


SMALL = WorldSpec(seed=7, people=3_000, shows=16, collaborations=6)


def test_the_same_seed_makes_the_same_world() -> None:
    one, two = simulate(SMALL), simulate(SMALL)
    assert one.events.equals(two.events) and one.truth.equals(two.truth)
    assert not one.events.equals(simulate(replace(SMALL, seed=8)).events)


def test_a_world_without_effects_has_no_caused_listeners() -> None:
    world = simulate(replace(SMALL, no_effect=1.0))
    assert world.truth.select("caused", "spilled").sum().row(0) == (0, 0)
    log_, airings, named = log_of(world)
    found = estimates(log_, airings, named, k=2.5)
    assert found.height == world.collaborations.height
    assert (found["low"] <= 0).all()


def test_placebo_triples_keep_clear_of_collaborations() -> None:
    log_, airings, named = log_of(simulate(SMALL))
    triples = placebo_triples(log_, airings, named, triples=30)
    assert len(triples) == 30
    assert all(one.show != one.partner for one in triples)
    assert not any(one.is_sibling(taken, log_) for one in triples for taken in named)
