"""Which fields changed, and which of these changes are news."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.diff import (
    MINOR,
    MINOR_BESIDE,
    VOLATILE,
    FieldChange,
    field_changes,
    fields_json,
    record_hash,
)
from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT
from tests.ingest.feeds.made import episode, podcast


def changed(old: dict[str, object], new: dict[str, object]) -> list[FieldChange]:
    return field_changes(episode(1, **old), episode(1, **new), EPISODE_CONTENT)


def test_a_changed_title_is_told_with_both_values() -> None:
    assert changed({"title": "Ep 1"}, {"title": "Episode 1"}) == [
        FieldChange("title", "Ep 1", "Episode 1", is_minor=False)
    ]


def test_old_null_and_new_empty_list_are_the_same() -> None:
    assert changed({"keywords": None}, {"keywords": []}) == []
    assert changed({"keywords": ["a"]}, {"keywords": []}) == [FieldChange("keywords", ["a"], None, False)]


def test_another_token_or_prefix_of_the_same_enclosure_is_minor() -> None:
    same = {"enclosure_canonical": "https://m.fm/1.mp3"}
    old, new = {"enclosure_url": "https://m.fm/1.mp3?t=1"}, {"enclosure_url": "https://p.fm/m.fm/1.mp3"}
    assert [change.is_minor for change in changed(old | same, new | same)] == [True]
    assert [change.is_minor for change in changed(old, new)] == [False]  # nothing to compare by


def test_another_enclosure_is_major_in_both_columns() -> None:
    old = {"enclosure_url": "https://m.fm/1.mp3", "enclosure_canonical": "https://m.fm/1.mp3"}
    new = {"enclosure_url": "https://m.fm/2.mp3", "enclosure_canonical": "https://m.fm/2.mp3"}
    assert [(change.field, change.is_minor) for change in changed(old, new)] == [
        ("enclosure_canonical", False),
        ("enclosure_url", True),
    ]


def test_markup_around_the_same_text_is_minor() -> None:
    old = {"description": "Hello", "description_html": "<p>Hello</p>", "content_html": "<p>Hi <b>you</b></p>"}
    new = {"description": "Hello", "description_html": "Hello", "content_html": "<div>Hi  you</div>"}
    assert {change.field: change.is_minor for change in changed(old, new)} == {
        "content_html": True,
        "description_html": True,
    }
    assert [change.is_minor for change in changed(old, old | {"content_html": "<p>Hi us</p>"})] == [False]


def test_the_text_beside_a_parsed_value_is_minor() -> None:
    (change,) = changed({"duration_raw": "30:00"}, {"duration_raw": "1800"})
    assert change.is_minor


@pytest.mark.parametrize("name", VOLATILE)
def test_what_is_volatile_is_no_change_of_the_podcast(name: str) -> None:
    assert field_changes(podcast(**{name: 1}), podcast(**{name: 2}), PODCAST_CONTENT) == []


def test_the_date_of_an_episode_is_not_volatile() -> None:
    (change,) = changed({"published_us": 1}, {"published_us": 2})
    assert not change.is_minor


def test_every_rule_names_a_field() -> None:
    assert set(VOLATILE) <= set(PODCAST_CONTENT)
    assert set(MINOR) | set(MINOR_BESIDE) <= set(PODCAST_CONTENT) | set(EPISODE_CONTENT)


def test_the_json_of_a_change_is_sorted_by_field() -> None:
    told = fields_json([FieldChange("title", "a", "b", False), FieldChange("author", None, ["x"], True)])
    assert json.loads(told) == [
        {"field": "author", "old": None, "new": ["x"]},
        {"field": "title", "old": "a", "new": "b"},
    ]


_texts = st.sampled_from([None, "", "a", "b", "<i>a</i>"])
_records = st.fixed_dictionaries(
    {
        "title": _texts,
        "description": _texts,
        "description_html": _texts,
        "content_html": _texts,
        "enclosure_url": _texts,
        "enclosure_canonical": _texts,
        "published_raw": _texts,
        "keywords": st.sampled_from([None, [], ["a"]]),
        "duration_s": st.sampled_from([None, 1, 1.0, 2.5]),
        "is_explicit": st.sampled_from([None, True, False]),
    }
)


@given(_records, _records)
def test_records_have_one_hash_exactly_when_no_change_of_theirs_is_major(
    one: dict[str, object], other: dict[str, object]
) -> None:
    changes = changed(one, other)
    hashes = [record_hash(episode(1, **record), EPISODE_CONTENT) for record in (one, other)]
    assert (hashes[0] == hashes[1]) == all(change.is_minor for change in changes)
