"""feed_sources.toml: what is on, by which limits; a key never shows, wherever it was pasted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ingest.feeds.sources import settings as of_sources
from ingest.feeds.sources.budget import Limits
from ingest.feeds.sources.settings import FILE, FeedSources
from ingest.settings import SettingError, Settings

ENV = {
    "PODCASTINDEX_KEY": "KEY1",
    "PODCASTINDEX_SECRET": "pi-secret$",
    "EARSHOT_WEBSUB_SECRET": "0123456789abcdef",
}


def load(tmp_path: Path, text: str, env: dict[str, str] = ENV) -> FeedSources:
    (tmp_path / FILE).write_text(text)
    return FeedSources.load(Settings(data=tmp_path), env)


def test_without_a_file_only_notice_files_are_read(tmp_path: Path) -> None:
    sources = FeedSources.load(Settings(data=tmp_path), {})
    assert {name for name in FeedSources.model_fields if getattr(sources, name).on} == {"podping", "websub"}
    assert sources.apple.limits == Limits(18, 10_000)  # below Apple's 20 a minute


def test_the_example_of_the_module_is_one(tmp_path: Path) -> None:
    example = (of_sources.__doc__ or "").partition("\n\n")[2]
    sources = load(tmp_path, example)
    assert all(getattr(sources, name).on for name in tomllib.loads(example))
    assert set(tomllib.loads(example)) == set(FeedSources.model_fields)
    credentials = sources.podcastindex.credentials(ENV)
    assert (credentials.key, credentials.secret) == ("KEY1", "pi-secret$")
    assert sources.websub.master(ENV) == "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[apples]", "there is no source 'apples'; allowed are podping, websub"),
        ("apple = 7", "'apple' must be a table: [apple]"),
        ("[apple]\nspeed = 7", "[apple]: no such setting: 'speed'; allowed are on, calls_per_minute"),
        ("[apple]\non = 1", "[apple]: on cannot be used; allowed: true, false"),
        (
            "[apple]\ncalls_per_minute = 0",
            "calls_per_minute cannot be used; allowed: whole numbers from 1 to 600",
        ),
        ("[apple]\ncalls_per_day = 1.5", "calls_per_day cannot be used"),
        ("[apple]\ncountry = 'Germany'", "country cannot be used; allowed: a storefront's two letters"),
        ("[apple]\naddress = 'http://itunes.example/'", "address cannot be used; allowed: an https address"),
        ("[podcastindex]\naddress = 'https://me:pw@a.example/'", "address cannot be used"),
        (
            "[podcastindex]\non = true\nkey_env = 'NOT_SET'\nsecret_env = 'NOT_SET'",
            "that key_env names is not set",
        ),
        ("[podcastindex]\non = true", "key_env is missing; allowed: the name of an environment variable"),
        ("[websub]\ncallback = 'https://a.example/'", "[websub]: secret_env is missing"),
        ("[podping]\nsettle_s = -1", "settle_s cannot be used; allowed: seconds from 0 to 3600"),
        ("[podping", "cannot be read"),
        ("\udcff", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingError) as raised:
        FeedSources.load(Settings(data=tmp_path), ENV)
    assert told in str(raised.value)
    assert str(raised.value).startswith(FILE)


@pytest.mark.parametrize(
    "text",
    [
        "[podcastindex]\non = true\nkey_env = 'UXKCGDSYGUUEVQJSYDZH'\nsecret_env = 'PODCASTINDEX_SECRET'",
        "[podcastindex]\nkey_env = 'UXKCGDSYGUUEVQJSYDZH$'",
        "[podcastindex]\nkey = 'UXKCGDSYGUUEVQJSYDZH'",
        "[podcastindex]\nsecret_env = ['UXKCGDSYGUUEVQJSYDZH']",
        "[podcastindex]\naddress = 'https://UXKCGDSYGUUEVQJSYDZH@a.example/'",
        "podcastindex = 'UXKCGDSYGUUEVQJSYDZH'",
    ],
)
def test_a_key_that_was_pasted_into_the_file_stands_in_no_message(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingError) as raised:
        load(tmp_path, text)
    error: BaseException | None = raised.value
    while error is not None:
        assert "UXKCGDSYGUUEVQJSYDZH" not in f"{error}{error!r}"
        error = error.__cause__


def test_a_short_secret_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    text = "[websub]\ncallback = 'https://a.example/'\nsecret_env = 'S'"
    for secret in ("xyzzy", "", "ünïcode ünïcode ünïcode", "0123456789abc\ndef0"):
        with pytest.raises(SettingError) as raised:
            load(tmp_path, text, {"S": secret})
        assert not secret or secret not in str(raised.value)
