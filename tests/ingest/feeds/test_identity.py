"""Which episode an item is, and whether two feeds are one podcast (UPDATES §3, §4)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.identity import distinct_guids, episode_key, guid_of, is_same_podcast

ENCLOSURE = "https://cdn.example/1.mp3"


def content(**said: Any) -> dict[str, Any]:
    empty = dict.fromkeys(["guid", "title", "published_raw", "link", "enclosure_url", "enclosure_canonical"])
    return empty | said


def test_an_item_is_known_by_its_guid_its_enclosure_its_link_or_its_title_and_date() -> None:
    full = content(guid="g", enclosure_canonical=ENCLOSURE, link="https://a.example/1", title="T")
    assert guid_of(full) == ("g", "declared")
    assert guid_of(full | {"guid": None}) == (ENCLOSURE, "enclosure")
    assert guid_of(full | {"guid": None, "enclosure_canonical": None}) == ("https://a.example/1", "link")
    by_title = guid_of(content(title="T", published_raw="Mon, 1 Jan 2024"))
    assert by_title[1] == "title_date"
    assert by_title != guid_of(content(title="T", published_raw="Tue, 2 Jan 2024"))
    assert guid_of(content()) == guid_of(content())


def test_the_canonical_enclosure_counts_and_not_its_token() -> None:
    first, second = (
        content(enclosure_url=f"{ENCLOSURE}?token={n}", enclosure_canonical=ENCLOSURE) for n in (1, 2)
    )
    assert guid_of(first) == guid_of(second) == (ENCLOSURE, "enclosure")


def test_a_reused_guid_is_the_first_items_and_the_later_one_falls_back() -> None:
    newer = content(guid="same", enclosure_canonical="https://cdn.example/2.mp3")
    older = content(guid="same", enclosure_canonical=ENCLOSURE)
    assert distinct_guids([newer, older]) == [("same", "declared"), (ENCLOSURE, "enclosure")]


def test_what_says_nothing_of_its_own_is_the_same_episode_again() -> None:
    one = content(guid="same", title="T")
    # Fallbacks of the second: its title and date; the third has none left.
    assert [pair and pair[1] for pair in distinct_guids([one, one, one])] == ["declared", "title_date", None]


def test_in_a_delta_the_unchanged_items_keep_their_guids() -> None:
    changed = content(guid="same", enclosure_canonical=ENCLOSURE)
    assert distinct_guids([changed], taken={"same"}) == [(ENCLOSURE, "enclosure")]


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, "x", "y"]), st.text(max_size=1))
    )
)
def test_no_guid_is_given_twice(said: list[tuple[str | None, str | None, str]]) -> None:
    found = distinct_guids(
        [content(guid=guid, enclosure_canonical=url, title=title) for guid, url, title in said]
    )
    guids = [pair[0] for pair in found if pair]
    assert len(guids) == len(set(guids))
    assert len(found) == len(said)


def test_an_episode_key_is_of_its_podcast_and_signed() -> None:
    keys = {
        episode_key(podcast, guid) for podcast in (1, -1, 2**63 - 1, -(2**63)) for guid in ("a", "b", "é")
    }
    assert len(keys) == 12
    assert all(-(2**63) <= key < 2**63 for key in keys)


def guids(first: int, last: int) -> list[str]:
    return [f"https://a.example/{n}" for n in range(first, last)]


def test_the_same_podcast_guid_is_the_same_podcast() -> None:
    assert is_same_podcast("g", "g", [], [])
    assert not is_same_podcast("g", "h", [], [])
    assert not is_same_podcast(None, None, [], [])


def test_four_fifths_common_episodes_are_the_same_podcast() -> None:
    assert is_same_podcast("g", "h", guids(0, 10), guids(2, 12))  # 8 of 10
    assert not is_same_podcast("g", "h", guids(0, 10), guids(3, 13))  # 7 of 10
    assert is_same_podcast(None, None, guids(0, 500), guids(450, 501))  # a window on it: 50 of 51


def test_short_guids_tell_nothing() -> None:
    assert not is_same_podcast(None, None, ["1", "2", "3"], ["1", "2", "3"])
