"""The bench of webhooks: its world is as it says, it finds each fault, and a short run has none."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.webhooks_tally import FAULTS, Told, tallied, wanted
from bench.webhooks_world import CHANGES_EACH, FOLLOWERS, ROUNDS, Hook, World
from earshot.made_up.webhooks.endpoints import Behaviour
from earshot.made_up.webhooks.receiver import Received
from ingest.feeds.schema import shard_of

GOOD, ORDERED = Hook("00", Behaviour.OK, False), Hook("01", Behaviour.OK, True)
BAD = Hook("02", Behaviour.ERROR, False)
HOOKS = [GOOD, ORDERED, BAD]
KEY = 7
DUE: dict[Told, int] = {
    (hook.name, KEY, number): number * 1_000_000 for hook in HOOKS for number in (1, 2, 3)
}


def request(
    told: Told,
    *,
    status: int = 200,
    attempt: int = 1,
    id: str = "",
    after_s: float = 0.5,
    verified: bool = True,
) -> Received:
    endpoint, key, sequence = told
    at_us = sequence * 1_000_000 + round(after_s * 1e6)
    name = id or f"evt_{sequence}"
    return Received(at_us, endpoint, name, attempt, "episode.created", [[key, sequence]], status, verified)


WELL = [request(told, status=500 if told[0] == BAD.name else 200) for told in DUE]
WAITING = {told for told in DUE if told[0] == BAD.name}


def faults(received: list[Received], waiting: set[Told] = WAITING) -> dict[str, object]:
    figures = tallied(HOOKS, DUE, received, waiting)
    return {name: figures[name] for name in (*FAULTS, "duplicates", "healthy_missing") if figures[name]}


def test_what_arrived_or_waits_is_not_lost() -> None:
    figures = tallied(HOOKS, DUE, WELL, WAITING)
    assert faults(WELL) == {}
    assert [figures[name] for name in ("deliveries", "delivered", "waiting", "requests")] == [9, 6, 3, 9]
    # six healthy ones within 2.5 s of the first commit: at 1.5 s the first, at 3.5 s the last
    assert [figures[f"healthy_{name}_s"] for name in ("p50", "p95", "max")] == [0.5, 0.5, 0.5]
    assert figures["events_per_s"] == 6 / 2.5


def test_the_95th_of_100_waits_is_the_95_percentile() -> None:
    due = {(GOOD.name, KEY, number): number * 1_000_000 for number in range(1, 101)}
    received = [request(told, after_s=told[2] / 10) for told in due]
    figures = tallied(HOOKS, due, received, ())
    assert (figures["healthy_p95_s"], figures["healthy_max_s"]) == (9.5, 10.0)


def test_what_neither_arrived_nor_waits_is_lost() -> None:
    assert faults(WELL[1:]) == {"lost": 1, "healthy_missing": 1}
    assert faults(WELL, set()) == {"lost": 3}
    refused = [request((GOOD.name, KEY, 1), status=500), *WELL[1:]]
    assert faults(refused) == {"lost": 1, "healthy_missing": 1}


def test_a_delivery_taken_twice_is_a_duplicate_and_no_fault() -> None:
    assert faults([*WELL, request((GOOD.name, KEY, 1), attempt=2)]) == {"duplicates": 1}


def test_an_attempt_made_twice_is_a_fault() -> None:
    assert faults([*WELL, request((GOOD.name, KEY, 1))]) == {"duplicates": 1, "same_attempts": 1}


def test_a_change_told_under_two_ids_is_a_fault() -> None:
    assert faults([*WELL, request((GOOD.name, KEY, 1), id="evt_other")]) == {"duplicate_ids_differ": 1}


def test_order_counts_in_ordered_lanes_for_what_arrives_first() -> None:
    late = {hook: [request((hook.name, KEY, number)) for number in (1, 3, 2)] for hook in (GOOD, ORDERED)}
    others = [one for one in WELL if one.endpoint == BAD.name]
    assert faults([*late[GOOD], *late[ORDERED], *others]) == {"out_of_order": 1}
    again = request((ORDERED.name, KEY, 1), attempt=2)
    assert faults([*WELL, again]) == {"duplicates": 1}


def test_wrong_signatures_followed_redirects_and_strange_news_are_faults() -> None:
    assert faults([*WELL, request((GOOD.name, KEY, 1), status=401, verified=False, attempt=2)]) == {
        "unverified": 1
    }
    assert faults([*WELL, request(("00/moved", KEY, 1), status=404, verified=False)]) == {
        "followed_redirects": 1
    }
    assert faults([*WELL, request((GOOD.name, 8, 1), id="evt_strange")]) == {"strange": 1}


@pytest.fixture(scope="module")
def world() -> World:
    return World(20_000, 50)


def test_the_endpoints_are_those_of_the_issue_and_a_quarter_is_ordered(world: World) -> None:
    assert Counter(hook.behaviour for hook in world.hooks) == {
        Behaviour.HANG: 5, Behaviour.ERROR: 5, Behaviour.BUSY: 2, Behaviour.FLAP: 1, Behaviour.REDIRECT: 1,
        Behaviour.OK: 36,
    }  # fmt: skip
    assert sum(hook.is_ordered for hook in world.hooks) == 13
    assert sum(hook.is_ordered and hook.is_healthy for hook in world.hooks) == 9


def test_each_change_makes_three_deliveries(world: World) -> None:
    hooks = [world.followers(number) for number in range(world.podcasts)]
    assert {len(set(of)) for of in hooks} == {FOLLOWERS}
    assert {hook.name for of in hooks for hook in of} == {hook.name for hook in world.hooks}
    due = wanted({5: hooks[0]}, {(5, 2): 10, (5, 3): 20})
    assert due == {(hook.name, 5, number): at for hook in hooks[0] for number, at in ((2, 10), (3, 20))}


def test_podcasts_make_all_changes_numbered_without_holes() -> None:
    world = World(CHANGES_EACH * 12 + 7, 10)  # the last podcast changes seven times
    total = 0
    for shard, podcasts in world.by_shard().items():
        for podcast in podcasts:
            assert shard_of(podcast.key) == shard
            commits = [podcast.first(0), *(podcast.more(CHANGES_EACH // ROUNDS, 10) for _ in range(ROUNDS))]
            rows = [row for commit in commits for row in commit.changes]
            assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
            assert not any(row["is_minor"] for row in rows[1:])
            assert all(
                commit.state[0]["sequence"] == commit.changes[-1]["sequence"]
                for commit in commits
                if commit.changes
            )
            total += len(rows) - 1
    assert total == world.changes
