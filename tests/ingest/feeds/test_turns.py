"""Hosts take turns: fast ones are not held up by slow ones, and nobody is asked more than it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.turns import Turns


def always(_: str) -> float:
    return 0.0


def turns_of(asks: Iterable[tuple[str, int]], connections: Callable[[str], int]) -> Turns[int]:
    turns: Turns[int] = Turns(connections)
    for host, ask in asks:
        turns.add(host, ask)
    return turns


def test_a_host_that_was_begun_is_ended_first_and_nothing_is_lost() -> None:
    turns = turns_of([("a", 1), ("a", 2), ("b", 3), ("a", 4)], lambda _: 4)
    assert [turns.next(0.0, always) for _ in range(4)] == [("a", 1), ("a", 2), ("a", 4), ("b", 3)]
    assert turns.next(0.0, always) is None
    assert len(turns) == 0


def test_a_host_without_a_free_connection_waits_until_one_is_done() -> None:
    turns = turns_of([("a", 1), ("a", 2), ("b", 3)], lambda _: 1)
    assert [turns.next(0.0, always), turns.next(0.0, always)] == [("a", 1), ("b", 3)]
    assert turns.next(0.0, always) is None
    turns.done("a", 1.0)
    assert turns.next(1.0, always) == ("a", 2)


def test_a_paused_host_does_not_hold_up_the_others() -> None:
    turns = turns_of([("slow", 1), ("fast", 2), ("fast", 3)], lambda _: 4)
    waits = {"slow": 5.0, "fast": 0.0}
    assert turns.next(0.0, waits.__getitem__) == ("fast", 2)
    assert turns.next(0.0, waits.__getitem__) == ("fast", 3)
    assert turns.next(0.0, waits.__getitem__) == 5.0
    assert turns.next(5.0, always) == ("slow", 1)


@given(
    st.lists(st.sampled_from("abc"), max_size=40),
    st.integers(1, 3),
    st.lists(st.booleans(), max_size=200),
)
def test_every_ask_is_handed_out_once_in_its_hosts_order_within_its_connections(
    hosts: list[str], cap: int, choices: list[bool]
) -> None:
    turns: Turns[int] = Turns(lambda _: cap)
    waiting = list(enumerate(hosts))
    under_way: list[str] = []
    told: dict[str, list[int]] = {}
    chosen = iter(choices)
    while waiting or len(turns) or under_way:
        if waiting and next(chosen, True):
            number, host = waiting.pop(0)
            turns.add(host, number)
        turn = None if under_way and next(chosen, False) else turns.next(0.0, always)
        if isinstance(turn, tuple):
            host, number = turn
            told.setdefault(host, []).append(number)
            under_way.append(host)
            assert under_way.count(host) <= cap
        elif under_way:
            turns.done(under_way.pop(0), 0.0)
    assert told == {host: [n for n, h in enumerate(hosts) if h == host] for host in dict.fromkeys(hosts)}
