"""Who may see which show: tenants that own it, and subjects of it that are open to anybody."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, Table, and_, delete, select

from registry import access_revisions, audit_log
from registry.database import insert_into, writing
from registry.tables import show_openings, show_owners

ALL_SHOWS = "*"
NOBODY = ""  # in the audit log: an opening belongs to no tenant
_MAX_ID_CHARS = 200


class Subject(StrEnum):
    """A part of a show's figures that can be opened by itself."""

    DOWNLOADS = "downloads"  # downloads, listeners, exclusions
    AUDIENCE = "audience"  # apps, devices, countries, new and returning
    PACING = "pacing"
    COLLABORATIONS = "collaborations"


class BadShowId(ValueError):
    """A text that is no show id; the message says why."""


@dataclass(frozen=True)
class Owner:
    show_id: str
    tenant: str
    since_us: int


@dataclass(frozen=True)
class Opening:
    show_id: str
    subject: Subject
    since_us: int


def grant(engine: Engine, now_us: int, tenant: str, shows: Collection[str]) -> int:
    """Make the shows the tenant's; returns how many were not yet."""
    return _add(engine, now_us, show_owners, "access.granted", [(show, tenant) for show in shows])


def withdraw(engine: Engine, now_us: int, tenant: str, shows: Collection[str]) -> int:
    """They are no longer the tenant's; returns how many were."""
    return _remove(engine, now_us, show_owners, "access.withdrawn", [(show, tenant) for show in shows])


def open_to_all(engine: Engine, now_us: int, shows: Collection[str], subjects: Collection[Subject]) -> int:
    """Let anybody see these subjects of the shows; returns how many were closed before."""
    pairs = [(show, str(subject)) for show in shows for subject in subjects]
    return _add(engine, now_us, show_openings, "access.opened", pairs)


def close(engine: Engine, now_us: int, shows: Collection[str], subjects: Collection[Subject]) -> int:
    """Only owners see them again; returns how many were open."""
    pairs = [(show, str(subject)) for show in shows for subject in subjects]
    return _remove(engine, now_us, show_openings, "access.closed", pairs)


def owners(connection: Connection) -> list[Owner]:
    return [Owner(*row) for row in connection.execute(select(show_owners))]


def openings(connection: Connection) -> list[Opening]:
    return [
        Opening(row.show_id, Subject(row.subject), row.since_us)
        for row in connection.execute(select(show_openings))
    ]


def _add(engine: Engine, now_us: int, table: Table, action: str, pairs: list[tuple[str, str]]) -> int:
    return _change(engine, now_us, table, action, pairs, is_added=True)


def _remove(engine: Engine, now_us: int, table: Table, action: str, pairs: list[tuple[str, str]]) -> int:
    return _change(engine, now_us, table, action, pairs, is_added=False)


def _change(
    engine: Engine, now_us: int, table: Table, action: str, pairs: list[tuple[str, str]], is_added: bool
) -> int:
    show, second = table.c[0], table.c[1]
    changed = 0
    with writing(engine) as connection:
        for show_id, value in pairs:
            _check(show_id)
            if is_added:
                row = {show.name: show_id, second.name: value, "since_us": now_us}
                done = connection.execute(
                    insert_into(connection, table).values(row).on_conflict_do_nothing()
                ).rowcount
            else:
                done = connection.execute(
                    delete(table).where(and_(show == show_id, second == value))
                ).rowcount
            if done:
                changed += 1
                tenant = value if table is show_owners else NOBODY
                detail = {} if table is show_owners else {"subject": value}
                audit_log.record(connection, now_us, tenant, action, show_id, detail)
        if changed:
            access_revisions.advance(connection)
    return changed


def _check(show_id: str) -> None:
    if not show_id or len(show_id) > _MAX_ID_CHARS or not show_id.isprintable():
        raise BadShowId(f"a show id is 1 to {_MAX_ID_CHARS} printable characters, or {ALL_SHOWS}")
