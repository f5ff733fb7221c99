"""Keys of the API: random, shown once, stored as a hash; with a tenant, scopes, and an end."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, insert, or_, select, update

from registry import access_revisions, audit_log
from registry.database import writing
from registry.tables import api_keys

PREFIX = "es_"  # so that scanners for leaked secrets know one
_RANDOM_BYTES = 32
_MAX_NAME = 200
_DAY_US = 86_400_000_000


class Scope(StrEnum):
    """What a key may be used for."""

    READ = "read"  # figures and records
    MANAGE = "manage"  # registrations, collaborations, subscriptions of its tenant
    HINTS = "hints"  # tell of changed feeds
    OPERATE = "operate"  # all tenants, metrics: for who runs the installation


class BadKey(ValueError):
    """A key that cannot be made, or is not there; the message says why."""


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored; times in microseconds, None: never."""

    key_id: int
    digest: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created_us: int
    expires_us: int | None
    revoked_us: int | None
    used_us: int | None

    def is_valid(self, now_us: int) -> bool:
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


def digest_of(key: str) -> str:
    """Without salt: 256 random bits need none, and it is what a key is found by."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    engine: Engine,
    now_us: int,
    tenant: str,
    scopes: Collection[Scope],
    name: str = "",
    expires_us: int | None = None,
) -> tuple[str, ApiKey]:
    """A new key: its only showing, and what is stored of it. Raises BadKey."""
    if not scopes:
        raise BadKey(f"a key needs a scope: {', '.join(Scope)}")
    if len(name) > _MAX_NAME or not name.isprintable():
        raise BadKey(f"the name of a key is up to {_MAX_NAME} printable characters")
    if expires_us is not None and expires_us <= now_us:
        raise BadKey("the key would have expired already")
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    values = {
        "digest": digest_of(key),
        "tenant": tenant,
        "name": name,
        "scopes": sorted(scopes),
        "created_us": now_us,
        "expires_us": expires_us,
    }
    with writing(engine) as connection:
        made = connection.execute(insert(api_keys).values(values).returning(api_keys.c.key_id)).scalar_one()
        access_revisions.advance(connection)
        detail = {"name": name, "scopes": sorted(scopes), "expires_us": expires_us}
        audit_log.record(connection, now_us, tenant, "key.created", str(made), detail)
        found = _keys(connection, key_id=made)
    return key, found[0]


def revoke(engine: Engine, now_us: int, key_id: int) -> ApiKey:
    """It is refused from now on. A key that was revoked before stays as it was. Raises BadKey."""
    with writing(engine) as connection:
        found = _keys(connection, key_id=key_id)
        if not found:
            raise BadKey(f"there is no key {key_id}: `earshot key list` shows them")
        if found[0].revoked_us is None:
            connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(revoked_us=now_us))
            access_revisions.advance(connection)
            audit_log.record(connection, now_us, found[0].tenant, "key.revoked", str(key_id))
        return _keys(connection, key_id=key_id)[0]


def keys(engine: Engine, tenant: str | None = None) -> list[ApiKey]:
    """All keys, or a tenant's, in the order they were made; revoked and expired ones too."""
    with engine.connect() as connection:
        return _keys(connection, tenant=tenant)


def read_keys(connection: Connection) -> list[ApiKey]:
    """All keys that were not revoked."""
    return [key for key in _keys(connection) if key.revoked_us is None]


def note_use(engine: Engine, key_id: int, now_us: int) -> None:
    """Remember the day, not the instant: one write a key and day is enough to see that it is in use."""
    day_us = now_us // _DAY_US * _DAY_US
    is_earlier = or_(api_keys.c.used_us.is_(None), api_keys.c.used_us < day_us)
    with writing(engine) as connection:
        connection.execute(
            update(api_keys).where(api_keys.c.key_id == key_id, is_earlier).values(used_us=day_us)
        )


def _keys(connection: Connection, key_id: int | None = None, tenant: str | None = None) -> list[ApiKey]:
    asked = select(api_keys).order_by(api_keys.c.key_id)
    if key_id is not None:
        asked = asked.where(api_keys.c.key_id == key_id)
    if tenant is not None:
        asked = asked.where(api_keys.c.tenant == tenant)
    return [
        ApiKey(**{**row._mapping, "scopes": frozenset(map(Scope, row.scopes))})
        for row in connection.execute(asked)
    ]
