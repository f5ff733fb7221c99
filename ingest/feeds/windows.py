"""The window of a feed: was an episode that left it taken out, or pushed out by newer ones? (UPDATES §3)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def ordering_us(published_us: int | None, first_seen_us: int) -> int | None:
    """Where an episode stands among the others: when it was published, at the latest when we first saw it.

    So a future-dated episode is ordered among those of the day it appeared, and stays there. Null: undated.
    """
    return None if published_us is None else min(published_us, first_seen_us)


def taken_out(
    vanished: Mapping[int, int | None], present: Mapping[int, int | None], last_order: Sequence[int]
) -> set[int]:
    """The vanished episodes that were inside the window, by key: removed. The others slid out.

    `vanished`, `present`: episode key → `ordering_us`, of those that left and of those in the feed now. A
    dated one was inside when it is strictly newer than the oldest dated one in the feed. What has no date to
    compare was inside when, in `last_order` (the keys as the feed last listed them), episodes before and
    after it are still there.
    """
    oldest = min((when for when in present.values() if when is not None), default=None)
    survivors = [place for place, key in enumerate(last_order) if key in present]
    places = {key: place for place, key in enumerate(last_order)}
    removed = set()
    for key, when in vanished.items():
        if when is not None and oldest is not None:
            is_inside = when > oldest
        else:
            place = places.get(key)
            is_inside = place is not None and bool(survivors) and survivors[0] < place < survivors[-1]
        if is_inside:
            removed.add(key)
    return removed
