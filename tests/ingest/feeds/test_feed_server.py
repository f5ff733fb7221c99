"""The server that plays the world of feeds: a real process, asked over real sockets."""

from __future__ import annotations

import gzip
import http.client
import time
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from earshot.made_up.feeds.casting import KINDS
from earshot.made_up.feeds.content import DAY, HOUR
from earshot.made_up.feeds.server import Running, polls_of, running
from earshot.made_up.feeds.world import FeedWorld, FeedWorldSpec, build, without_scheme

SPEC = FeedWorldSpec(podcasts=len(KINDS))
WORLD = build(SPEC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("feeds")
    with running({"script": asdict(SPEC)}, folder, SPEC.start_us) as started:
        yield started


@pytest.fixture
def connection(server: Running) -> Iterator[http.client.HTTPConnection]:
    opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield opened
    opened.close()


def number_of(kind: str) -> int:
    return next(podcast.number for podcast in WORLD.podcasts if podcast.kind == kind)


def ask(
    connection: http.client.HTTPConnection, url: str, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    host, _, path = without_scheme(url).partition("/")
    connection.request(
        "GET", f"/{path}", headers={"Host": host} | {k.replace("_", "-"): v for k, v in headers.items()}
    )
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def feed_of(world: FeedWorld, kind: str) -> str:
    return world.podcasts[number_of(kind)].urls[0]


def test_the_answer_is_that_of_the_world_at_the_clocks_instant(
    server: Running, connection: http.client.HTTPConnection
) -> None:
    for days in (0, 3, 1):  # the clock may be set back
        at_us = SPEC.start_us + days * DAY
        server.set_clock(at_us)
        status, _, body = ask(connection, feed_of(WORLD, "daily"))
        assert (status, body) == (200, WORLD.answer(number_of("daily"), at_us).body)


def test_validators_are_compared_byte_for_byte(
    server: Running, connection: http.client.HTTPConnection
) -> None:
    server.set_clock(SPEC.start_us)
    for kind in ("daily", "weekly", "tokens at each edit"):  # strong, weak, without quotes
        _, headers, _ = ask(connection, feed_of(WORLD, kind))
        etag = headers["ETag"]
        status, headers, body = ask(connection, feed_of(WORLD, kind), If_None_Match=etag)
        assert (status, headers["ETag"], body) == (304, etag, b"")
        for other in (etag.swapcase(), etag + " x", etag.strip('W/"') + "0"):
            assert ask(connection, feed_of(WORLD, kind), If_None_Match=other)[0] == 200
    _, headers, _ = ask(connection, feed_of(WORLD, "monthly"))
    assert "ETag" not in headers
    date = headers["Last-Modified"]
    assert ask(connection, feed_of(WORLD, "monthly"), If_Modified_Since=date)[0] == 304
    assert ask(connection, feed_of(WORLD, "monthly"), If_Modified_Since=date.lower())[0] == 200


def test_an_old_validator_is_answered_with_the_new_body(
    server: Running, connection: http.client.HTTPConnection
) -> None:
    server.set_clock(SPEC.start_us)
    _, headers, old = ask(connection, feed_of(WORLD, "hourly news"))
    server.set_clock(SPEC.start_us + 2 * HOUR)
    status, _, new = ask(connection, feed_of(WORLD, "hourly news"), If_None_Match=headers["ETag"])
    assert status == 200
    assert new != old


def test_gzip_only_for_those_who_accept_it(server: Running, connection: http.client.HTTPConnection) -> None:
    server.set_clock(SPEC.start_us)
    _, headers, plain = ask(connection, feed_of(WORLD, "daily"))
    assert "Content-Encoding" not in headers
    _, headers, packed = ask(connection, feed_of(WORLD, "daily"), Accept_Encoding="br, gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain


def test_one_connection_serves_all_hosts(server: Running, connection: http.client.HTTPConnection) -> None:
    server.set_clock(SPEC.start_us)
    for podcast in WORLD.podcasts:
        assert ask(connection, podcast.urls[0])[0] == 200
        if podcast.number == 0:
            first = connection.sock
    assert connection.sock is first
    assert len(WORLD.hosts) > 12


def test_unknown_addresses_are_not_found(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "http://nobody.example/feed.xml")[0] == 404
    assert ask(connection, feed_of(WORLD, "daily") + "x")[0] == 404


def test_each_trouble_is_real(server: Running, connection: http.client.HTTPConnection) -> None:
    for podcast in WORLD.podcasts:
        for spell in podcast.spells:
            server.set_clock(spell.from_us)
            fresh = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
            if spell.how in ("silent", "endless"):
                with pytest.raises(TimeoutError):  # nothing, or no end
                    _read_for(fresh, podcast.urls[0], 0.6)
            elif spell.how == "cut_off":
                with pytest.raises(http.client.IncompleteRead):
                    ask(fresh, podcast.urls[0])
            else:
                status, headers, body = ask(fresh, podcast.urls[0])
                wanted = WORLD.answer(podcast.number, spell.from_us)
                assert (status, body) == (wanted.status, wanted.body)
                assert headers.get("Location") == wanted.header("Location")
            fresh.close()


def _read_for(connection: http.client.HTTPConnection, url: str, seconds: float) -> None:
    """Reads an answer piece by piece. Raises TimeoutError when nothing comes, or no end in that time."""
    host, _, path = without_scheme(url).partition("/")
    connection.request("GET", f"/{path}", headers={"Host": host})
    answer = connection.getresponse()
    ends = time.monotonic() + seconds
    while answer.read1(65_536):
        if time.monotonic() > ends:
            raise TimeoutError


def test_polls_are_logged_with_the_simulated_instant(
    server: Running, connection: http.client.HTTPConnection
) -> None:
    number, times = number_of("gone"), [SPEC.start_us + HOUR, SPEC.start_us + 2 * HOUR]
    logged = len(server.polls())
    for at_us in times:
        server.set_clock(at_us)
        ask(connection, feed_of(WORLD, "gone"))
    ask(connection, feed_of(WORLD, "gone"), If_None_Match=_etag(number, times[-1]))
    polls = server.polls()[logged:]
    assert [(poll.podcast, poll.at_us, poll.status) for poll in polls] == [
        (number, times[0], 200),
        (number, times[1], 200),
        (number, times[1], 304),
    ]
    assert polls_of(polls, number) == times


def _etag(number: int, at_us: int) -> str:
    etag = WORLD.answer(number, at_us).header("ETag")
    assert etag is not None
    return etag


def test_a_running_clock_moves_the_world(server: Running, connection: http.client.HTTPConnection) -> None:
    server.set_clock(SPEC.start_us, speed=36_000)  # ten simulated hours a second
    _, _, before = ask(connection, feed_of(WORLD, "hourly news"))
    ends = time.monotonic() + 30
    while ask(connection, feed_of(WORLD, "hourly news"))[2] == before:
        assert time.monotonic() < ends
        time.sleep(0.05)
