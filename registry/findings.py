"""What directories say otherwise than we do of a podcast, kept for a person until it is settled."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection, Engine, delete, insert, select

from registry.batches import PARAMETERS, batches
from registry.tables import findings

FEED_URL = "feed_url"  # the field of a podcast that a directory has at another address


class FindingReason(StrEnum):
    """How a directory differs from us."""

    DIFFERS = "differs"  # from what we have
    DISAGREE = "disagree"  # two directories, and we have nothing
    OTHER_PODCAST = "other_podcast"  # another URL and another guid: not this podcast
    OTHER_URL = "other_url"  # one signal of a move, at most
    OTHER_URL_SAME_GUID = "other_url_same_guid"  # … and its guid is the one that the feed declares
    MISSING = "missing"  # our id leads to nothing there
    NOT_A_PODCAST = "not_a_podcast"  # our id is of something else there


@dataclass(frozen=True)
class Finding:
    """One difference. `ours` and `theirs` are written out; None: nothing."""

    podcast_key: int
    source: str
    field: str  # a column of the registry's podcasts
    ours: str | None
    theirs: str | None
    reason: FindingReason
    first_us: int  # since when the source says this
    last_us: int  # when it said it last


_AT = tuple[int, str, str]  # podcast_key, source, field


def of_podcast(engine: Engine, podcast_key: int) -> list[Finding]:
    """By source and field."""
    query = select(findings).where(findings.c.podcast_key == podcast_key)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(findings.c.source, findings.c.field)).mappings().all()
    return [Finding(**{**row, "reason": FindingReason(row["reason"])}) for row in rows]


def disagreements(connection: Connection, keys: Collection[int]) -> list[Finding]:
    """Those of `keys` of which a gap of ours has more than one proposal."""
    query = select(findings).where(findings.c.reason == FindingReason.DISAGREE)
    return [
        Finding(**row)
        for some in batches(sorted(keys), PARAMETERS)
        for row in connection.execute(query.where(findings.c.podcast_key.in_(some))).mappings()
    ]


def replace_findings(
    connection: Connection, asked: Collection[tuple[int, str]], found: Iterable[Finding]
) -> None:
    """Of each (podcast_key, source) in `asked`: what was found now, instead of what was found before.

    A finding that says the same as before keeps its `first_us`; of several on one field the first counts.
    The rows of the podcasts are to be locked, so that two writers take turns.
    """
    wanted = set(asked)
    before: dict[_AT, Finding] = {}
    for keys in batches(sorted({key for key, _ in wanted}), PARAMETERS):
        query = select(findings).where(findings.c.podcast_key.in_(keys))
        for row in connection.execute(query).mappings():
            if (row["podcast_key"], row["source"]) in wanted:
                before[row["podcast_key"], row["source"], row["field"]] = Finding(**row)
    now: dict[_AT, Finding] = {}
    for one in found:
        at = (one.podcast_key, one.source, one.field)
        known = before.get(at)
        if known is not None and (known.theirs, known.reason) == (one.theirs, one.reason):
            one = replace(one, first_us=known.first_us)
        now.setdefault(at, one)
    for key, source in sorted({at[:2] for at in before}):
        connection.execute(delete(findings).where(findings.c.podcast_key == key, findings.c.source == source))
    if now:
        connection.execute(insert(findings), [vars(now[at]) for at in sorted(now)])
