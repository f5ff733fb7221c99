"""Directories read: hints, gaps filled, findings kept; budgets, cursors, the round through all podcasts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ingest.feeds.crawl import new_state
from ingest.feeds.schema import PODCASTS, shard_of
from ingest.feeds.sources.apple import NAME as APPLE
from ingest.feeds.sources.change_file import NAME as CHANGES
from ingest.feeds.sources.change_file import Cursor
from ingest.feeds.sources.podcastindex import NAME as INDEX
from ingest.feeds.sources.settings import BUDGET_FILE, FILE, FeedSources
from ingest.feeds.state import Commit, opened
from ingest.feeds.urls import derived_guid, podcast_key
from ingest.lake import Lake
from ingest.settings import SettingError, Settings
from registry import findings, podcasts
from registry.directories import LOOKUPS, DirectoriesRead, SourceRead, read_directories, waits_until
from registry.hints import Hint, pending
from registry.podcasts import Registration, deregister, find, record_crawl, register
from registry.rotation import ROUND_S, Rotation
from registry.sources import last_reading
from registry.tables import PodcastState
from tests.ingest.feeds.sources.server import NOW_S, NOW_US, Asked, Clock, Page, Server, json_page, serving

A, B, C = (f"https://{name}.example.com/feed.xml" for name in "abc")
KEY_A, KEY_B, KEY_C = map(podcast_key, (A, B, C))
GUID = "917393e3-1b1e-5cef-ace4-edaa54e1f810"
OTHER_GUID = "9b024349-ccf0-5f69-a609-6b82873eab3c"
ALL = range(256)
KEYS = {"KEY": "key", "SECRET": "secret"}


class Directories:
    """One server that is all directories; what a test does not say, they do not know."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.by_url: dict[str, dict[str, Any] | Page] = {}
        self.by_guid: dict[str, dict[str, Any]] = {}
        self.apple: dict[int, dict[str, Any]] = {}
        self.recent: Page | None = None
        server.pages["/api/podcasts/byfeedurl"] = lambda asked: self._feed(
            self.by_url.get(asked.query["url"])
        )
        server.pages["/api/podcasts/byguid"] = lambda asked: self._feed(self.by_guid.get(asked.query["guid"]))
        server.pages["/api/recent/data"] = self._recent
        server.pages["/lookup"] = self._lookup

    @staticmethod
    def _feed(found: dict[str, Any] | Page | None) -> Page:
        if isinstance(found, Page):
            return found
        nothing = {"status": "true", "feed": [], "description": "No feeds match."}
        return json_page({"status": "true", "feed": found} if found else nothing)

    def _recent(self, asked: Asked) -> Page:
        return self.recent or json_page({"status": "true", "data": {}})

    def _lookup(self, asked: Asked) -> Page:
        numbers = [int(text) for text in asked.query["id"].split(",")]
        results = [
            {"kind": "podcast", "trackId": number, **self.apple[number]}
            for number in numbers
            if number in self.apple
        ]
        return json_page({"results": results})

    def change_file(self, position: int, feeds: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
        said = {"data": {"position": position, "feeds": feeds, "items": items}}
        self.server.pages["/current"] = json_page(said)

    @property
    def paths(self) -> list[str]:
        return [asked.path.rpartition("/")[2] for asked in self.server.asked]

    def asked_urls(self) -> list[str]:
        return [asked.query["url"] for asked in self.server.asked if asked.path.endswith("byfeedurl")]


@pytest.fixture
def directories() -> Iterator[Directories]:
    with serving() as server:
        yield Directories(server)


class Installation:
    """A registry with podcasts in it, and sources switched on at will."""

    def __init__(self, engine: Engine, url: str, data: Path, address: str) -> None:
        data.mkdir()
        self.engine, self.settings, self.address = engine, Settings(data=data, registry=url), address
        self.clock = Clock()

    def switch_on(self, *names: str, **more: object) -> None:
        addresses = {CHANGES: "/current", INDEX: "/api", APPLE: "/lookup"}
        lines = []
        for name in names:
            lines += [f"[{name}]", "on = true", f'address = "{self.address}{addresses[name]}"']
            lines += ['key_env = "KEY"', 'secret_env = "SECRET"'] if name == INDEX else []
            lines += [f"{key} = {value}" for key, value in more.items()]
        (self.settings.data / FILE).write_text("\n".join(lines))

    def read(self, advance_s: float = 0) -> DirectoriesRead:
        self.clock.advance(advance_s)
        return read_directories(self.settings, 180, self.clock, KEYS)

    def of(self, read: DirectoriesRead, name: str) -> SourceRead:
        return next(source for source in read.sources if source.source == name)

    def podcast(self, url: str) -> podcasts.Podcast:
        (found,) = find(self.engine, url)
        return found

    def findings(self, url: str) -> list[tuple[str, str, str | None, str | None, str]]:
        found = findings.of_podcast(self.engine, podcast_key(url))
        return [(one.source, one.field, one.ours, one.theirs, str(one.reason)) for one in found]

    def polled(self, url: str, guid: str | None = None) -> None:
        """A good record of the podcast at `url`; `guid`: what it declares."""
        key = podcast_key(url)
        row: dict[str, Any] = dict.fromkeys(PODCASTS) | {
            "podcast_key": key,
            "podcast_guid": guid or derived_guid(url),
            "guid_source": "declared" if guid else "derived",
        }
        with opened(Lake(self.settings.lake_dir).root, shard_of(key)) as shard:
            shard.commit(Commit(state=[new_state(key, url)], podcasts=[row]))


@pytest.fixture
def installed(engine: Engine, url: str, tmp_path: Path, directories: Directories) -> Installation:
    return Installation(engine, url, tmp_path / "data", directories.server.url)


def test_without_a_source_that_is_on_nobody_is_called(
    installed: Installation, directories: Directories
) -> None:
    assert installed.read().sources == [] and directories.server.asked == []


# --- news


def test_the_change_file_gives_hints_by_url_and_by_the_indexs_number(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A), Registration(B, podcastindex_id=7)], 1)
    installed.switch_on(CHANGES)
    feeds = [{"feedId": 5, "feedUrl": A, "feedItunesId": 50}, {"feedId": 6, "feedUrl": C}]
    directories.change_file(11, feeds, [{"feedId": 7, "episodeAdded": NOW_S - 9}, {"feedId": 8}])
    read = installed.of(installed.read(), CHANGES)
    assert (read.hints, read.tracked, read.ids, read.reason) == (4, 2, 1, None)
    noticed = {hint.podcast_key: hint for hint in pending(installed.engine, ALL)}
    assert noticed == {
        KEY_A: Hint(KEY_A, CHANGES, NOW_US),
        KEY_B: Hint(KEY_B, CHANGES, (NOW_S - 9) * 1_000_000),
    }
    assert (installed.podcast(A).itunes_id, installed.podcast(A).podcastindex_id) == (50, 5)
    known = last_reading(installed.engine, CHANGES)
    assert known and known.reason is None and Cursor.parse(known.cursor).position == 11


def test_a_source_that_fails_keeps_its_cursor_and_says_why(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A)], 1)
    installed.switch_on(CHANGES, INDEX)
    directories.change_file(11, [{"feedId": 5, "feedUrl": A}], [])
    installed.read()
    before = last_reading(installed.engine, CHANGES)
    directories.server.pages["/current"] = Page(b"", 500)
    read = installed.read(180)
    after = last_reading(installed.engine, CHANGES)
    assert before and after and after.cursor == before.cursor
    assert after.reason == "server_error: it answers 500" and after.read_us == installed.clock.now_us
    assert installed.of(read, CHANGES).reason == after.reason
    assert installed.of(read, INDEX).reason is None  # the other one was read


def test_what_is_recent_is_asked_for_since_the_last_time(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A)], 1)
    installed.switch_on(INDEX)
    data = {"feeds": [{"feedId": 5, "feedUrl": A}], "nextSince": NOW_S - 60}
    directories.recent = json_page({"status": "true", "data": data})
    read = installed.of(installed.read(), INDEX)
    since = [asked.query["since"] for asked in directories.server.asked if asked.path.endswith("data")]
    assert since == [str(NOW_S - 600), str(NOW_S - 60)]  # until there is nothing newer
    assert read.tracked == 2 and [hint.source for hint in pending(installed.engine, ALL)] == [INDEX]
    directories.recent = Page(b"", 500)
    installed.read(180)
    known = last_reading(installed.engine, INDEX)
    assert known and known.cursor == str(NOW_S - 60) and known.reason


def test_a_pass_that_crashed_before_its_end_is_made_again(
    installed: Installation, directories: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(installed.engine, [Registration(A)], 1)
    installed.switch_on(CHANGES)
    directories.change_file(11, [{"feedId": 5, "feedUrl": A}], [])
    with monkeypatch.context() as patched:

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr("registry.directories.remember", crash)
        with pytest.raises(KeyboardInterrupt):
            installed.read()
    assert last_reading(installed.engine, CHANGES) is None and installed.podcast(A).podcastindex_id == 5
    installed.read(1)
    assert last_reading(installed.engine, CHANGES) is not None
    assert len(pending(installed.engine, ALL)) == 1


# --- what is said of tracked podcasts


def test_gaps_are_filled_and_what_we_have_is_not_overwritten(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A, itunes_id=1, podcast_guid=GUID), Registration(B)], 1)
    installed.polled(B)
    installed.switch_on(INDEX)
    directories.by_url[A] = {"id": 5, "url": A, "itunesId": 2, "podcastGuid": OTHER_GUID}
    directories.by_url[B] = {"id": 6, "url": B, "itunesId": 3, "podcastGuid": OTHER_GUID}
    read = installed.of(installed.read(), INDEX)
    assert (read.looked_up, read.ids, read.updates, read.findings) == (2, 2, 4, 2)
    a, b = installed.podcast(A), installed.podcast(B)
    assert (a.itunes_id, a.podcastindex_id, a.podcast_guid) == (1, 5, GUID)
    assert (b.itunes_id, b.podcastindex_id, b.podcast_guid) == (3, 6, OTHER_GUID)
    assert installed.findings(A) == [
        (INDEX, "itunes_id", "1", "2", "differs"),
        (INDEX, "podcast_guid", GUID, OTHER_GUID, "differs"),
    ]
    assert installed.findings(B) == []


def test_a_guid_that_the_feed_declares_is_never_overwritten(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A), Registration(B)], 1)
    installed.polled(A, GUID)
    installed.switch_on(INDEX)
    for url in (A, B):
        directories.by_url[url] = {"id": 5, "url": url, "podcastGuid": OTHER_GUID}
    installed.read()
    assert installed.podcast(A).podcast_guid is None
    assert installed.findings(A) == [(INDEX, "podcast_guid", GUID, OTHER_GUID, "differs")]
    # Never polled: what it declares is not known yet.
    assert (installed.podcast(B).podcast_guid, installed.findings(B)) == (None, [])


def test_a_podcast_that_the_index_has_elsewhere_is_found_by_its_guid_and_told(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A)], 1)
    installed.polled(A, GUID)
    installed.switch_on(INDEX)
    directories.by_guid[GUID] = {"id": 5, "url": B, "podcastGuid": GUID}
    installed.read()
    assert installed.podcast(A).feed_url == A  # one signal is no move
    assert installed.findings(A) == [(INDEX, "feed_url", A, B, "other_url_same_guid")]


def test_a_finding_goes_when_it_is_settled_and_keeps_its_age_until_then(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A, itunes_id=1), Registration(B, itunes_id=9)], 1)
    installed.switch_on(APPLE)
    directories.apple = {1: {"feedUrl": C}, 9: {"feedUrl": A}}
    installed.read()
    assert installed.findings(A) == [(APPLE, "feed_url", A, C, "other_url")]
    installed.read(ROUND_S)
    (known,) = findings.of_podcast(installed.engine, KEY_A)
    assert (known.first_us, known.last_us) == (NOW_US, installed.clock.now_us)
    directories.apple = {1: {"feedUrl": A}}
    installed.read(ROUND_S)
    assert installed.findings(A) == []
    assert installed.findings(B) == [(APPLE, "itunes_id", "9", None, "missing")]


def test_two_directories_that_disagree_fill_no_gap(installed: Installation, directories: Directories) -> None:
    register(installed.engine, [Registration(A)], 1)
    installed.switch_on(CHANGES, INDEX)
    directories.change_file(11, [{"feedId": 5, "feedUrl": A, "feedItunesId": 50}], [])
    directories.by_url[A] = {"id": 5, "url": A, "itunesId": 51}
    installed.read()
    assert (installed.podcast(A).podcastindex_id, installed.podcast(A).itunes_id) == (5, None)
    assert installed.findings(A) == [
        (INDEX, "itunes_id", None, "51", "disagree"),
        (CHANGES, "itunes_id", None, "50", "disagree"),
    ]
    before = installed.findings(A)
    installed.switch_on(INDEX)
    installed.read(ROUND_S)
    assert (installed.podcast(A).itunes_id, installed.findings(A)) == (None, before)  # said again, alone
    directories.by_url[A] = {"id": 5, "url": A, "itunesId": 50}
    installed.read(ROUND_S)
    assert installed.podcast(A).itunes_id == 50


def test_a_podcast_that_moved_is_known_by_both_addresses(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A)], 1)
    record_crawl(installed.engine, [podcasts.Crawled(KEY_A, feed_url=B)])
    installed.switch_on(CHANGES)
    directories.change_file(11, [{"feedId": 5, "feedUrl": B}], [])
    assert installed.of(installed.read(), CHANGES).ids == 1
    assert (installed.podcast(A).podcastindex_id, installed.findings(A)) == (5, [])


# --- the round


def many(installed: Installation, count: int) -> list[str]:
    """The URLs of so many podcasts, in the order of the round."""
    urls = [f"https://feeds.example.com/{number}" for number in range(count)]
    register(installed.engine, [Registration(url) for url in urls], 1)
    return sorted(urls, key=lambda url: (shard_of(podcast_key(url)), podcast_key(url)))


def test_every_podcast_has_its_turn_within_the_budget_and_then_the_round_rests(
    installed: Installation, directories: Directories
) -> None:
    urls = many(installed, 7)
    installed.switch_on(INDEX, calls_per_minute=6)  # three podcasts, two calls each, beside `recent`
    for url in urls:
        directories.by_url[url] = {"id": urls.index(url) + 1, "url": url}
    looked_up = [installed.of(installed.read(180), INDEX).looked_up for _ in range(5)]
    assert looked_up == [3, 3, 1, 0, 0]
    assert directories.asked_urls() == urls
    installed.read(ROUND_S)
    assert directories.asked_urls() == [*urls, *urls[:3]]


def test_apple_is_asked_for_many_at_a_time_of_those_that_have_its_id(
    installed: Installation, directories: Directories
) -> None:
    some = [Registration(f"https://f.example.com/{n}", itunes_id=n if n % 2 else None) for n in range(1, 12)]
    register(installed.engine, some, 1)
    installed.switch_on(APPLE, batch=2, calls_per_minute=2)
    directories.apple = {n: {"feedUrl": f"https://f.example.com/{n}"} for n in range(1, 12)}
    assert [installed.of(installed.read(180), APPLE).looked_up for _ in range(3)] == [4, 2, 0]
    assert len(directories.server.asked) == 3


def test_a_budget_that_is_spent_ends_the_pass_where_it_stands(
    installed: Installation, directories: Directories
) -> None:
    urls = many(installed, 4)
    installed.switch_on(INDEX, calls_per_day=3)
    for url in urls:
        directories.by_url[url] = {"id": 1, "url": url}
    for _ in range(4):
        read = installed.of(installed.read(180), INDEX)
    assert len(directories.server.asked) == 3 and read.reason and read.reason.startswith("out_of_budget")
    installed.read(25 * 3600)
    assert directories.asked_urls() == urls[: len(directories.asked_urls())]  # nobody was passed over
    assert (installed.settings.data / BUDGET_FILE).exists()


def test_a_podcast_whose_lookup_always_fails_holds_up_no_other(
    installed: Installation, directories: Directories
) -> None:
    urls = many(installed, 3)
    installed.switch_on(INDEX)
    for url in urls:
        directories.by_url[url] = {"id": 1, "url": url}
    directories.by_url[urls[0]] = Page(b"", 500)
    assert installed.of(installed.read(), INDEX).reason == "server_error: it answers 500"
    assert directories.asked_urls() == [urls[0]]  # its server may be in trouble: it is tried again
    installed.read(180)
    assert directories.asked_urls() == [urls[0]] * 2
    assert installed.of(installed.read(180), INDEX).looked_up == 2
    assert directories.asked_urls() == [urls[0], *urls]


def test_a_junk_answer_is_of_one_podcast_only(installed: Installation, directories: Directories) -> None:
    urls = many(installed, 3)
    installed.switch_on(INDEX)
    directories.by_url[urls[1]] = Page(b"<html>")
    read = installed.of(installed.read(), INDEX)
    assert (read.looked_up, read.reason) == (2, "junk: 6 bytes that are no JSON object")
    known = last_reading(installed.engine, INDEX + LOOKUPS)
    assert known and Rotation.parse(known.cursor, NOW_US).is_resting and known.reason


def test_podcasts_that_are_gone_are_looked_up_and_those_nobody_tracks_are_not(
    installed: Installation, directories: Directories
) -> None:
    register(installed.engine, [Registration(A), Registration(B)], 1)
    record_crawl(installed.engine, [podcasts.Crawled(KEY_A, state=PodcastState.GONE, reason="410")])
    deregister(installed.engine, [KEY_B], "default", "left")
    installed.switch_on(INDEX)
    assert installed.of(installed.read(), INDEX).looked_up == 1
    assert directories.asked_urls() == [A]


@pytest.mark.parametrize("text", [None, "", "junk", "[]", "{}", '{"began_us": "x", "shard": 1}', "7"])
def test_what_is_no_rotation_is_a_new_round(text: str | None) -> None:
    assert Rotation.parse(text, 5) == Rotation(5)


def test_a_rotation_survives_its_text_and_a_clock_that_is_set_back() -> None:
    under_way = Rotation(5).past(3, -7).stumbled(9)
    assert Rotation.parse(under_way.text(), 6) == under_way
    assert Rotation.parse(Rotation(500).over().text(), 6).begins_us == 6 + ROUND_S * 1_000_000


def test_a_pass_for_nothing_is_known_beforehand(installed: Installation, directories: Directories) -> None:
    register(installed.engine, [Registration(A, itunes_id=1)], 1)
    installed.switch_on(APPLE)
    sources = FeedSources.load(installed.settings, KEYS)
    assert waits_until(installed.settings, sources, NOW_US) is None
    installed.read()
    assert waits_until(installed.settings, sources, NOW_US + 1) == NOW_US + ROUND_S * 1_000_000
    assert waits_until(installed.settings, sources, NOW_US + ROUND_S * 1_000_000) is None


def test_a_key_that_is_missing_is_told(installed: Installation) -> None:
    installed.switch_on(INDEX)
    with pytest.raises(SettingError, match="key_env"):
        read_directories(installed.settings, 180, installed.clock, {})
