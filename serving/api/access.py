"""May this caller see this show, and which part of it? Kept in memory, read anew after changes."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from registry import access_revisions, api_keys, show_access
from registry.api_keys import ApiKey, Scope
from registry.show_access import ALL_SHOWS, Subject
from serving.api.caller import Caller
from serving.api.problems import Problem

LOOK_S = 0.1

log = logging.getLogger("earshot.api")


class Standing(StrEnum):
    """Why somebody may see a show; cells of few listeners are suppressed for all but owners."""

    OWNER = "owner"
    PUBLIC = "public"


@dataclass(frozen=True)
class Access:
    """Keys, owners and openings, as they were at one revision."""

    revision: int
    keys: dict[str, ApiKey]  # by digest
    keys_by_id: dict[int, ApiKey]
    owned: dict[str, frozenset[str]]  # tenant → its show ids, perhaps with *
    opened: dict[Subject, frozenset[str]]  # subject → show ids, perhaps with *


class AccessBook:
    """The `Access` in force."""

    def __init__(self, engine: Engine) -> None:
        """Raises SQLAlchemyError."""
        self._engine = engine
        self._lock = threading.Lock()
        self.current = _read(engine)
        self._looked_s = time.monotonic()  # when that was last asked for
        self.is_behind = False  # the registry did not answer when last asked

    def refresh(self) -> bool:
        """Read again what changed; whether something did. While the registry is away the last known holds."""
        with self._lock:
            return self._refresh()

    async def newer(self, known: Access) -> Access | None:
        """The access in force, where it is another than `known` by now: a key that is unknown may be one that
        was made just now. Whoever guesses keys has the registry asked every LOOK_S at most.
        """
        if self.is_behind:
            return None
        asked_s = time.monotonic()
        await asyncio.sleep(max(0.0, self._looked_s + LOOK_S - asked_s))
        await asyncio.to_thread(self._look, asked_s)
        return None if self.current is known else self.current

    def _look(self, since_s: float) -> None:
        """Refresh, unless somebody did since."""
        with self._lock:
            if self._looked_s < since_s:
                self._refresh()

    def _refresh(self) -> bool:
        began_s = time.monotonic()
        try:
            with self._engine.connect() as connection:
                revision = access_revisions.current(connection)
            if revision != self.current.revision:
                self.current = _read(self._engine)
                return True
        except SQLAlchemyError as error:
            if not self.is_behind:  # once, not at each look
                log.warning("the registry does not answer: %s", type(error).__name__)
            self.is_behind = True
        else:
            if self.is_behind:
                log.info("the registry answers again")
            self.is_behind = False
        finally:
            self._looked_s = began_s
        return False


@dataclass(frozen=True, slots=True)
class Shows:
    """What one caller may see of the shows of one publication."""

    caller: Caller
    access: Access
    known: frozenset[str]

    def may(self, show_id: str, subject: Subject) -> Standing | None:
        """None: no; whether there is such a show plays no part in it."""
        if self.is_owner(show_id):
            return Standing.OWNER
        opened = self.access.opened.get(subject, frozenset())
        return Standing.PUBLIC if show_id in opened or ALL_SHOWS in opened else None

    def require(self, show_id: str, subject: Subject) -> Standing:
        """Raises Problem: 404, word for word alike for an unknown show and for one not to be seen."""
        standing = self.may(show_id, subject) if show_id in self.known else None
        if standing is None:
            raise Problem(
                404,
                "No such show",
                f"No show with this id whose {subject} you may see; GET /v1/shows lists those you may",
                field="show_id",
            )
        return standing

    def is_owner(self, show_id: str) -> bool:
        """Of a show that need not be there."""
        if not self._reads or self.caller.only_show not in (None, show_id):
            return False
        owned = self._owned
        return self.caller.is_operator or show_id in owned or ALL_SHOWS in owned

    def visible(self, subject: Subject) -> frozenset[str] | None:
        """The ids of all shows of which the caller may see the subject; None: all there are."""
        opened = self.access.opened.get(subject, frozenset())
        if ALL_SHOWS in opened:
            return None
        owned = self._owned if self._reads else frozenset()
        if self.caller.only_show is not None:
            owned = frozenset(filter(self.is_owner, [self.caller.only_show]))
        elif (self._reads and self.caller.is_operator) or ALL_SHOWS in owned:
            return None
        return (owned | opened) & self.known

    @property
    def _reads(self) -> bool:
        return self.caller.may(Scope.READ)

    @property
    def _owned(self) -> frozenset[str]:
        return self.access.owned.get(self.caller.tenant or "", frozenset())


def _read(engine: Engine) -> Access:
    with engine.connect() as connection:  # one transaction: what is read belongs together
        revision = access_revisions.current(connection)
        keys = api_keys.read_keys(connection)
        owned: dict[str, set[str]] = defaultdict(set)
        for owner in show_access.owners(connection):
            owned[owner.tenant].add(owner.show_id)
        opened: dict[Subject, set[str]] = defaultdict(set)
        for opening in show_access.openings(connection):
            opened[opening.subject].add(opening.show_id)
    return Access(
        revision,
        {key.digest: key for key in keys},
        {key.key_id: key for key in keys},
        {tenant: frozenset(shows) for tenant, shows in owned.items()},
        {subject: frozenset(shows) for subject, shows in opened.items()},
    )
