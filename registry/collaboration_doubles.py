"""Collaborations that cannot be told apart: one show in the same episodes, recorded twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Engine

from ingest.schema import DAY_US
from registry.collaboration_days import EXPOSURE_DAYS
from registry.collaborations import Collaboration, Which, listing


def doubles(engine: Engine, added: Sequence[Collaboration]) -> list[tuple[Collaboration, Collaboration]]:
    """Each of `added` with every other of the same show and exposure, of whatever type and tenant; no void.

    Without an episode they are those of the same partner whose measured days overlap.
    """
    known: dict[tuple[int, int], list[Collaboration]] = {}
    for each in added:
        pair = each.podcast_key, each.partner_key
        if pair not in known:
            known[pair] = listing(engine, Which(podcast_key=pair[0], partner_key=pair[1], with_void=False))
    return list(_pairs(added, known))


def measured_until_us(of: Collaboration) -> int:
    """Exclusive; of an open or long one so many days from its start as are measured at most."""
    ends = (of.starts_us + EXPOSURE_DAYS * DAY_US, of.ends_us, of.ended_us)
    return min(at for at in ends if at is not None)


def _pairs(
    added: Sequence[Collaboration], known: dict[tuple[int, int], list[Collaboration]]
) -> Iterator[tuple[Collaboration, Collaboration]]:
    new = {each.collaboration_id for each in added}
    for each in added:
        for other in known[each.podcast_key, each.partner_key]:
            is_first = other.collaboration_id not in new or other.collaboration_id < each.collaboration_id
            if other.collaboration_id != each.collaboration_id and is_first and _is_same(each, other):
                yield each, other


def _is_same(one: Collaboration, other: Collaboration) -> bool:
    if one.partner_guid is not None or other.partner_guid is not None:
        return one.partner_guid == other.partner_guid
    return one.starts_us < measured_until_us(other) and other.starts_us < measured_until_us(one)
