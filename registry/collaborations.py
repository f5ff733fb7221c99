"""Which collaborations took place: kept, read, ended, and handed to the marts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, func, insert, select, update

from ingest.feeds.schema import COLLABORATIONS
from ingest.lake import Lake, write_parquet
from ingest.schema import DAY_US, conform
from ingest.settings import Settings
from registry.aired import aired
from registry.audit_log import Note
from registry.collaborating import Aired, CollaborationWish, t0_us
from registry.collaboration_values import BadCollaboration, Problem, shown_time
from registry.database import alone, connected, writing
from registry.tables import CollaborationState, CollaborationType, collaborations, podcasts

MAX_NEAR = 200  # others of one show whose listeners may be the same: they are solved for together
NEAR_DAYS = 44  # so far apart may they start: exposure and follow-up (ATTRIBUTION.md §2.8)

_MAX_ID = 2**63 - 1
# What makes two wishes one collaboration. t0 does not: it is the air date's, which a feed may correct.
_IDENTITY = ("tenant", "podcast_key", "partner_key", "type", "partner_guid", "inserted_us")
_REST = tuple(field.name for field in fields(CollaborationWish) if field.name not in _IDENTITY)


class UnknownCollaboration(LookupError):
    """There is no such collaboration; the message is for people."""


class CannotEnd(ValueError):
    """A collaboration cannot end so; the message is for people."""


class CannotRestore(ValueError):
    """A collaboration cannot be taken back into attribution; the message is for people."""


class Outcome(StrEnum):
    """What adding a collaboration did."""

    ADDED = "added"
    CHANGED = "changed"  # known; its end, cost, notes or air date were taken over
    KNOWN = "known"  # said before: nothing changed


@dataclass(frozen=True)
class Collaboration:
    """A row of `collaborations`, with where its shows are fetched."""

    collaboration_id: int
    tenant: str
    type: CollaborationType
    podcast_key: int  # A
    partner_key: int  # B
    partner_guid: str | None
    episode_key: int | None
    inserted_us: int | None
    starts_us: int  # t0
    ends_us: int | None  # as planned
    cost: float | None
    currency: str | None
    notes: str | None
    state: CollaborationState
    ended_us: int | None
    created_us: int
    feed_url: str  # of A
    partner_url: str  # of B


@dataclass(frozen=True)
class Which:
    """Which collaborations are meant; None: whatever it is."""

    tenant: str | None = None
    podcast_key: int | None = None
    partner_key: int | None = None
    state: CollaborationState | None = None
    with_void: bool = True  # of no state in particular: also those that never took place


def add(
    engine: Engine, wishes: Sequence[CollaborationWish], now_us: int, note: Note | None = None
) -> list[tuple[Collaboration, Outcome]]:
    """Keep them, all or none; each with what that did. The same again changes nothing.

    Of one that is known end, cost, notes and what is known of the episode by now are taken over; what is not
    said stays. A void one is not known: it may be added anew. Raises BadCollaboration where a show has
    MAX_NEAR already at that time, whoever recorded them.
    """
    with writing(engine) as connection:
        alone(connection, "collaborations")
        added = [_add(connection, wish, now_us) for wish in wishes]
        if note:
            note(connection, added)
        return added


def get(engine: Engine, collaboration_id: int) -> Collaboration:
    """One, in whatever state. Raises UnknownCollaboration."""
    with engine.connect() as connection:
        return _one(connection, collaboration_id)


def listing(engine: Engine, which: Which = Which()) -> list[Collaboration]:
    """By t0, then id."""
    table = collaborations.c
    conditions: list[ColumnElement[bool]] = [
        table[name] == value
        for name in ("tenant", "podcast_key", "partner_key", "state")
        if (value := getattr(which, name)) is not None
    ]
    if which.state is None and not which.with_void:
        conditions.append(table.state != CollaborationState.VOID)
    query = _rows().where(*conditions).order_by(table.starts_us, table.collaboration_id)
    with engine.connect() as connection:
        return [_collaboration(row) for row in connection.execute(query).mappings()]


def end(
    engine: Engine,
    collaboration_id: int,
    at_us: int,
    now_us: int,
    is_void: bool = False,
    note: Note | None = None,
) -> Collaboration:
    """It was stopped at `at_us`; or `is_void`, it never took place.

    Of an ended one, nothing, except that it can be declared void. Raises UnknownCollaboration, and CannotEnd
    for a time before its start, ahead or behind its planned end.
    """
    with writing(engine) as connection:
        found = _one(connection, collaboration_id, is_locked=True)
        if found.state is not CollaborationState.VOID and not is_void and at_us <= found.starts_us:
            raise CannotEnd(
                f"collaboration {collaboration_id} had not begun by {shown_time(at_us)}: it starts "
                f"{shown_time(found.starts_us)}. If it never took place: --void"
            )
        if found.state is CollaborationState.VOID or (
            found.state is CollaborationState.ENDED and not is_void
        ):
            return found
        if at_us > now_us:
            raise CannotEnd(f"collaboration {collaboration_id} cannot be ended ahead of time: end it then")
        if not is_void and found.ends_us is not None and at_us >= found.ends_us:
            raise CannotEnd(
                f"collaboration {collaboration_id} was over by then, as planned: there is nothing to end"
            )
        state = CollaborationState.VOID if is_void else CollaborationState.ENDED
        _change(connection, collaboration_id, {"state": state, "ended_us": at_us})
        return _noted(connection, collaboration_id, note)


def restore(engine: Engine, collaboration_id: int, note: Note | None = None) -> Collaboration:
    """A void one counts again, as if never ended. Raises UnknownCollaboration and CannotRestore."""
    with writing(engine) as connection:
        alone(connection, "collaborations")
        found = _one(connection, collaboration_id, is_locked=True)
        it = f"collaboration {collaboration_id}"
        if found.state is not CollaborationState.VOID:
            raise CannotRestore(f"{it} is {found.state}, not void: there is nothing to undo")
        if (known := _known(connection, asdict(found))) is not None:
            raise CannotRestore(f"{it} was recorded anew as {known['collaboration_id']}, which counts")
        try:
            _check_room(connection, found)
        except BadCollaboration as error:
            raise CannotRestore(f"of {it} the show cannot have more: {error.reason}") from None
        _change(connection, collaboration_id, {"state": CollaborationState.ACTIVE, "ended_us": None})
        return _noted(connection, collaboration_id, note)


def recorded(engine: Engine, lake_root: Path) -> pl.DataFrame:
    """What took place or will: columns of COLLABORATIONS, by id.

    What the lake knows of an episode by now counts before what it knew when the collaboration was recorded.
    """
    found = listing(engine, Which(with_void=False))
    of_episodes = [each for each in found if each.partner_guid is not None]
    keys = {each.partner_key for each in of_episodes}
    episodes = aired(lake_root, keys, {each.partner_guid for each in of_episodes if each.partner_guid})
    rows = [
        _exported(each, episodes.get(each.partner_key, {}).get(each.partner_guid or "")) for each in found
    ]
    return conform(pl.DataFrame(rows, COLLABORATIONS), COLLABORATIONS).sort("collaboration_id").collect()


@dataclass(frozen=True)
class Exported:
    """The collaborations as the marts see them."""

    collaborations: int
    is_new: bool  # they differ from those of the last time


def export_collaborations(settings: Settings) -> Exported:
    """Write lake/registry/collaborations.parquet for the marts, where it says something new."""
    lake = Lake(settings.lake_dir)
    with connected(settings.registry, settings.data) as engine:
        frame = recorded(engine, lake.root)
    if frame.equals(pl.read_parquet(lake.collaborations_path)):
        return Exported(frame.height, is_new=False)
    write_parquet(frame, lake.collaborations_path)
    return Exported(frame.height, is_new=True)


def as_exported(each: Collaboration, lake_root: Path) -> dict[str, Any]:
    """One as the marts will see it: columns of COLLABORATIONS."""
    episode = None
    if each.partner_guid is not None and lake_root.exists():
        known = aired(lake_root, [each.partner_key], [each.partner_guid])
        episode = known.get(each.partner_key, {}).get(each.partner_guid)
    return _exported(each, episode)


def _noted(connection: Connection, collaboration_id: int, note: Note | None) -> Collaboration:
    found = _one(connection, collaboration_id)
    if note:
        note(connection, found)
    return found


def _add(connection: Connection, wish: CollaborationWish, now_us: int) -> tuple[Collaboration, Outcome]:
    row = asdict(wish)
    table = collaborations.c
    known = _known(connection, row)
    if known is None:
        _check_room(connection, wish)
        new = row | {"state": CollaborationState.ACTIVE, "created_us": now_us}
        given = connection.scalar(insert(collaborations).values(new).returning(table.collaboration_id))
        assert given is not None
        return _one(connection, given), Outcome.ADDED
    news = {name: row[name] for name in _REST if row[name] is not None and row[name] != known[name]}
    if "starts_us" in news:
        _check_room(connection, wish, known["collaboration_id"])
    if news:
        _change(connection, known["collaboration_id"], news)
    outcome = Outcome.CHANGED if news else Outcome.KNOWN
    return _one(connection, known["collaboration_id"]), outcome


def _known(connection: Connection, row: Mapping[str, object]) -> RowMapping | None:
    """What is recorded as the same, and not void."""
    table = collaborations.c
    is_same = (table[name].is_not_distinct_from(row[name]) for name in _IDENTITY)
    return (
        connection.execute(
            select(collaborations)
            .where(*is_same, table.state != CollaborationState.VOID)
            .order_by(table.collaboration_id)
            .limit(1)
            .with_for_update()
        )
        .mappings()
        .one_or_none()
    )


def _check_room(connection: Connection, wish: CollaborationWish | Collaboration, own_id: int = 0) -> None:
    """Raises BadCollaboration. Effects of what is near are solved for together, at the cost of their cube."""
    table, near_us = collaborations.c, NEAR_DAYS * DAY_US
    others = connection.scalar(
        select(func.count())
        .select_from(collaborations)
        .where(
            table.podcast_key == wish.podcast_key,
            table.state != CollaborationState.VOID,
            table.starts_us.between(wish.starts_us - near_us, wish.starts_us + near_us),
            table.collaboration_id != own_id,
        )
    )
    if others and others >= MAX_NEAR:
        raise BadCollaboration(
            "show",
            Problem.TOO_MANY,
            f"it has {others} collaborations already that begin within {NEAR_DAYS} days of this one, and no "
            f"more than {MAX_NEAR} can be told apart. Declare void those that never took place: `earshot "
            "collaboration end ID --void`",
        )


def _exported(each: Collaboration, episode: Aired | None) -> dict[str, Any]:
    row = {name: value for name, value in asdict(each).items() if name in COLLABORATIONS}
    row["ends_us"] = min((at for at in (each.ends_us, each.ended_us) if at is not None), default=None)
    if episode is not None:
        row["episode_key"] = episode.episode_key
        row["starts_us"] = t0_us(episode.published_us, each.inserted_us) or each.starts_us
    return row


def _rows() -> Select[Any]:
    show, partner = podcasts.alias("show"), podcasts.alias("partner")
    return (
        select(collaborations, show.c.feed_url.label("feed_url"), partner.c.feed_url.label("partner_url"))
        .join(show, show.c.podcast_key == collaborations.c.podcast_key)
        .join(partner, partner.c.podcast_key == collaborations.c.partner_key)
    )


def _one(connection: Connection, collaboration_id: int, is_locked: bool = False) -> Collaboration:
    row = None
    if 0 < collaboration_id <= _MAX_ID:
        query = _rows().where(collaborations.c.collaboration_id == collaboration_id)
        if is_locked:
            query = query.with_for_update(of=collaborations)
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownCollaboration(f"there is no collaboration {collaboration_id}")
    return _collaboration(row)


def _change(connection: Connection, collaboration_id: int, values: Mapping[str, object]) -> None:
    is_it = collaborations.c.collaboration_id == collaboration_id
    connection.execute(update(collaborations).where(is_it).values(dict(values)))


def _collaboration(row: RowMapping) -> Collaboration:
    return Collaboration(
        **{name: row[name] for name in Collaboration.__dataclass_fields__ if name not in ("type", "state")},
        type=CollaborationType(row["type"]),
        state=CollaborationState(row["state"]),
    )
