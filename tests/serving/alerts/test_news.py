"""Who is told of what, and when: rate limits, what got worse, what is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.alerts.alert import Alert, Severity
from serving.alerts.news import (
    SETTLE_US,
    Item,
    What,
    about,
    forget,
    is_collecting,
    is_due,
    merge,
    message_id,
    news,
    note_failure,
    note_success,
    note_told,
)
from serving.alerts.state import Channel, Known, State
from tests.serving.alerts.installation import HOUR, MIN, NOW, alert

AGAIN = 6 * HOUR
MAIL = "email"


class Told:
    """A channel that takes all it is told."""

    def __init__(self) -> None:
        self.state = State()

    def at(self, now_us: int, *alerts: Alert) -> list[tuple[str, str]]:
        merge(self.state, {"one": alerts}, now_us)
        items = news(self.state, MAIL, AGAIN, now_us)
        note_told(self.state, about(items), MAIL, now_us)
        forget(self.state, [MAIL], AGAIN, now_us)
        return [(item.what.value, item.alert.subject) for item in items]


def test_all_that_a_look_finds_is_told_together_and_the_worst_first() -> None:
    found = [alert("b"), alert("c", Severity.CRITICAL), alert("a")]
    assert Told().at(NOW, *found) == [("new", "c"), ("new", "a"), ("new", "b")]


def test_what_stays_is_told_again_only_after_the_hours_set() -> None:
    told = Told()
    assert told.at(NOW, alert()) == [("new", "one")]
    assert told.at(NOW + MIN, alert()) == []
    assert told.at(NOW + AGAIN - 1, alert()) == []
    assert told.at(NOW + AGAIN, alert()) == [("again", "one")]
    assert told.at(NOW + AGAIN + MIN, alert()) == []


def test_what_gets_worse_is_told_at_once_and_what_gets_better_is_not() -> None:
    told = Told()
    told.at(NOW, alert(amount=3))
    assert told.at(NOW + MIN, alert(amount=5)) == []
    assert told.at(NOW + 2 * MIN, alert(amount=6)) == [("worse", "one")]
    assert told.at(NOW + 3 * MIN, alert(amount=11)) == []
    assert told.at(NOW + 4 * MIN, alert(severity=Severity.CRITICAL)) == [("worse", "one")]
    assert told.at(NOW + 5 * MIN, alert(amount=100)) == []


def test_what_is_over_is_told_once_and_then_forgotten() -> None:
    told = Told()
    told.at(NOW, alert())
    assert told.at(NOW + MIN) == []
    assert told.at(NOW + MIN + SETTLE_US) == [("resolved", "one")]
    assert told.at(NOW + 2 * MIN + SETTLE_US) == []
    assert told.at(NOW + AGAIN) == []
    assert told.state.alerts == {}


def test_what_comes_and_goes_is_one_alert() -> None:
    told = Told()
    said = [told.at(NOW + minute * MIN, *([alert()] if minute % 3 else [])) for minute in range(1, 300)]
    assert [each for each in said if each] == [[("new", "one")]]
    assert told.state.alerts[alert().key].first_us == NOW + MIN


def test_what_returns_after_it_was_over_waits_for_the_hours_set_unless_it_is_worse() -> None:
    told = Told()
    told.at(NOW, alert())
    told.at(NOW + MIN)
    told.at(NOW + MIN + SETTLE_US)
    back = NOW + HOUR
    assert told.at(back, alert()) == []
    known = told.state.alerts[alert().key]
    assert (known.first_us, known.count) == (back, 1), "another one than that which was over"
    assert told.at(back + MIN, alert(severity=Severity.CRITICAL)) == [("worse", "one")]


def test_what_a_look_that_failed_would_have_found_is_not_over() -> None:
    told = Told()
    told.at(NOW, alert())
    for minute in range(1, 60):
        merge(told.state, {"another": []}, NOW + minute * MIN)
        assert news(told.state, MAIL, AGAIN, NOW + minute * MIN) == []
    assert told.state.alerts[alert().key].gone_us is None


def test_a_clock_that_was_wrong_silences_nobody() -> None:
    told = Told()
    assert told.at(NOW + 1000 * HOUR, alert()) == [("new", "one")]
    assert told.at(NOW, alert()) == [("again", "one")]
    assert told.at(NOW + MIN, alert()) == []
    channel = Channel()
    note_failure(channel, "no", NOW + 1000 * HOUR)
    assert is_due(channel, NOW)


def test_a_channel_that_fails_is_left_alone_ever_longer_but_never_more_than_an_hour() -> None:
    channel, now_us, waits = Channel(), NOW, []
    for _ in range(9):
        assert is_due(channel, now_us)
        note_failure(channel, "no", now_us)
        assert not is_due(channel, channel.next_us - 1)
        waits.append((channel.next_us - now_us) // MIN)
        now_us = channel.next_us
    assert waits == [1, 2, 5, 15, 30, 60, 60, 60, 60]
    note_success(channel, now_us)
    assert is_due(channel, now_us) and channel.problem is None


def test_the_same_news_have_the_same_id_and_other_news_another() -> None:
    def of(now_us: int, *found: Alert, told: bool = False) -> str:
        state = State()
        merge(state, {"one": found}, NOW)
        if told:
            note_told(state, about(news(state, MAIL, AGAIN, NOW)), MAIL, NOW)
        return message_id(MAIL, news(state, MAIL, AGAIN, now_us))

    assert of(NOW, alert()) == of(NOW + MIN, alert())
    others = [of(NOW, alert()), of(NOW, alert("two")), of(NOW, alert(), alert("two"))]
    others.append(of(NOW + AGAIN, alert(), told=True))
    assert len(set(others)) == 4


steps = st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=60)


@given(steps)
def test_however_it_comes_and_goes_nobody_is_told_too_often_and_each_end_once(
    steps: list[tuple[int, bool]],
) -> None:
    told, now_us, last_us, is_open = Told(), NOW, None, False
    for minutes, is_there in [*steps, (AGAIN // MIN, False), (AGAIN // MIN, False)]:
        now_us += minutes * MIN
        for what, _ in told.at(now_us, *([alert()] if is_there else [])):
            if what == What.RESOLVED:
                assert is_open
                is_open = False
            else:
                assert last_us is None or now_us - last_us >= AGAIN
                assert what != What.AGAIN or is_open
                last_us, is_open = now_us, True
    assert not is_open and told.state.alerts == {}


def sent_in(minutes: int, severity: Severity) -> list[int]:
    """Minutes at which a channel is told where each brings an alert of another subject."""
    state, channel, told, last = State(), Channel(), [], -1
    for minute in range(minutes):
        merge(
            state, {"one": [alert(str(number), severity) for number in range(minute + 1)]}, NOW + minute * MIN
        )
        items = news(state, MAIL, AGAIN, NOW + minute * MIN)
        if items and not is_collecting(channel, items, NOW + minute * MIN):
            assert len(items) == minute - last, "all that came meanwhile, and nothing twice"
            note_told(state, about(items), MAIL, NOW + minute * MIN)
            note_success(channel, NOW + minute * MIN)
            told.append(minute)
            last = minute
    return told


def test_a_storm_is_collected_into_ever_fewer_messages_and_nothing_of_it_is_lost() -> None:
    assert sent_in(360, Severity.WARNING) == [0, 1, 2, 3, 4, 5, 15, 35, 75, 135, 195, 255, 315]
    assert sent_in(60, Severity.CRITICAL) == [0, 1, 2, 3, 4, 5, 15, 25, 35, 45, 55]


def test_after_two_calm_hours_messages_are_sent_as_they_come() -> None:
    channel = Channel()
    for minute in range(6):
        note_success(channel, NOW + minute * MIN)
    items = [Item(What.AGAIN, merged())]
    assert is_collecting(channel, items, NOW + 6 * MIN)
    note_success(channel, NOW + 5 * MIN + 2 * HOUR)
    assert not is_collecting(channel, items, NOW + 6 * MIN + 2 * HOUR)


def merged() -> Known:
    state = State()
    merge(state, {"one": [alert()]}, NOW)
    return state.alerts[alert().key]
