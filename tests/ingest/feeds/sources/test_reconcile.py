"""Directories against the registry: what is proposed, what is a conflict, what only hints at a move."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.sources.reconcile import (
    Conflict,
    ConflictReason,
    Field,
    MoveSignal,
    Reconciled,
    Tracked,
    Update,
    reconcile,
)
from ingest.feeds.sources.values import Ids
from ingest.feeds.urls import podcast_key

URL, NEW = "https://a.example/feed", "https://b.example/feed"
GUID, OTHER = "9b024349-ccf0-5f69-a609-6b82873eab3c", "00000000-0000-5000-8000-000000000000"
DECLARED = Tracked(podcast_key(URL), URL, URL, GUID, True)
DERIVED = replace(DECLARED, is_guid_declared=False)


def test_ids_we_lack_are_proposed() -> None:
    found = reconcile(DECLARED, [Ids("index", URL, GUID, 1, 2), Ids("apple", URL, itunes_id=1)])
    assert found == Reconciled(
        [Update(Field.ITUNES_ID, 1, "apple"), Update(Field.PODCASTINDEX_ID, 2, "index")]
    )


def test_ids_that_differ_are_conflicts_and_what_agrees_is_nothing() -> None:
    ours = replace(DECLARED, itunes_id=1, podcastindex_id=2)
    assert reconcile(ours, [Ids("index", URL, GUID, 1, 2)]) == Reconciled()
    found = reconcile(ours, [Ids("index", URL, None, 7, 2)])
    assert found == Reconciled(conflicts=[Conflict(Field.ITUNES_ID, 1, 7, "index", ConflictReason.DIFFERS)])


def test_a_declared_guid_is_never_overwritten() -> None:
    found = reconcile(DECLARED, [Ids("index", URL, OTHER, 1)])
    assert found.conflicts == [Conflict(Field.PODCAST_GUID, GUID, OTHER, "index", ConflictReason.DIFFERS)]
    assert found.updates == [Update(Field.ITUNES_ID, 1, "index")]


def test_a_derived_guid_gives_way_to_one_that_a_directory_knows() -> None:
    assert reconcile(DERIVED, [Ids("index", URL, OTHER)]).updates == [
        Update(Field.PODCAST_GUID, OTHER, "index")
    ]


def test_directories_that_disagree_propose_nothing() -> None:
    found = reconcile(DECLARED, [Ids("index", URL, None, 1), Ids("apple", URL, None, 2)])
    assert not found.updates
    assert {(c.theirs, c.source, c.reason) for c in found.conflicts} == {
        (1, "index", ConflictReason.DISAGREE),
        (2, "apple", ConflictReason.DISAGREE),
    }


def test_another_url_is_a_signal_of_a_move_and_not_a_move() -> None:
    found = reconcile(DECLARED, [Ids("index", NEW, GUID, 1)])
    assert found == Reconciled([Update(Field.ITUNES_ID, 1, "index")], [], [MoveSignal(NEW, "index", True)])
    # By an id alone: it may be of another podcast, so nothing else of it is taken.
    assert reconcile(DECLARED, [Ids("apple", NEW, None, 1)]) == Reconciled(
        moves=[MoveSignal(NEW, "apple", False)]
    )
    assert reconcile(DERIVED, [Ids("index", NEW, GUID, 1)]).moves == [MoveSignal(NEW, "index", False)]
    assert reconcile(DECLARED, [Ids("index", URL, new_url=NEW)]).moves == [MoveSignal(NEW, "index", False)]


def test_another_url_with_another_guid_is_another_podcast() -> None:
    found = reconcile(DECLARED, [Ids("index", NEW, OTHER, 1, 2)])
    assert found == Reconciled(
        conflicts=[Conflict(Field.PODCAST_GUID, GUID, OTHER, "index", ConflictReason.OTHER_PODCAST)]
    )


def test_a_url_that_differs_by_scheme_and_slash_is_the_same() -> None:
    assert reconcile(DECLARED, [Ids("index", "http://a.example/feed/", GUID)]) == Reconciled()
    moved = replace(DECLARED, feed_url=NEW)
    assert reconcile(moved, [Ids("index", URL, GUID), Ids("apple", NEW)]) == Reconciled()


_IDS = st.builds(
    Ids,
    st.sampled_from(["index", "apple"]),
    st.sampled_from([None, URL, NEW]),
    st.sampled_from([None, GUID, OTHER]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, URL, NEW]),
)
_TRACKED = st.builds(
    Tracked,
    st.just(podcast_key(URL)),
    st.sampled_from([URL, NEW]),
    st.just(URL),
    st.just(GUID),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.sampled_from([None, 1]),
)


@given(_TRACKED, st.lists(_IDS, max_size=5))
def test_what_follows_depends_on_no_order_and_repetition(ours: Tracked, said: list[Ids]) -> None:
    found = reconcile(ours, said)
    assert reconcile(ours, [*reversed(said), *said]) == found
    fields = [update.field for update in found.updates]
    assert len(set(fields)) == len(fields)
    assert not (ours.is_guid_declared and Field.PODCAST_GUID in fields)
    assert all(podcast_key(move.url) != podcast_key(ours.feed_url) for move in found.moves)
    known = {Field.ITUNES_ID: ours.itunes_id, Field.PODCASTINDEX_ID: ours.podcastindex_id}
    assert all(known.get(name) is None for name in fields)
