"""Hosts take turns: fast ones are not held up by slow ones, and nobody is asked more than it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.turns import Turns


def always(_: str) -> float:
    return 0.0


def test_hosts_alternate_and_nothing_is_lost() -> None:
    turns = Turns([("a", 1), ("a", 2), ("b", 3), ("a", 4)], lambda _: 4)
    assert [turns.next(0.0, always) for _ in range(4)] == [("a", 1), ("b", 3), ("a", 2), ("a", 4)]
    assert turns.next(0.0, always) is None
    assert len(turns) == 0


def test_a_host_without_a_free_connection_waits_until_one_is_done() -> None:
    turns = Turns([("a", 1), ("a", 2), ("b", 3)], lambda _: 1)
    assert [turns.next(0.0, always), turns.next(0.0, always)] == [("a", 1), ("b", 3)]
    assert turns.next(0.0, always) is None
    turns.done("a", 1.0)
    assert turns.next(1.0, always) == ("a", 2)


def test_a_paused_host_does_not_hold_up_the_others() -> None:
    turns = Turns([("slow", 1), ("fast", 2), ("fast", 3)], lambda _: 4)
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
    hosts: list[str], cap: int, endings: list[bool]
) -> None:
    turns = Turns([(host, number) for number, host in enumerate(hosts)], lambda _: cap)
    under_way: list[str] = []
    told: dict[str, list[int]] = {}
    choices = iter(endings)
    while len(turns) or under_way:
        turn = None if under_way and next(choices, True) else turns.next(0.0, always)
        if isinstance(turn, tuple):
            host, number = turn
            told.setdefault(host, []).append(number)
            under_way.append(host)
            assert under_way.count(host) <= cap
        else:
            turns.done(under_way.pop(0), 0.0)
    assert told == {host: [n for n, h in enumerate(hosts) if h == host] for host in dict.fromkeys(hosts)}
