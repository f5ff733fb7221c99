"""The audit log: who changed what. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from registry.tables import audit_log


@dataclass(frozen=True)
class Entry:
    """One change; `key_id` is None where a command on this machine made it."""

    audit_id: int
    at_us: int
    tenant: str
    key_id: int | None
    action: str
    subject: str
    detail: Mapping[str, Any]


def record(
    connection: Connection,
    at_us: int,
    tenant: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
    key_id: int | None = None,
) -> None:
    """Note a change, in the transaction that makes it. Never give it a secret."""
    row = {
        "at_us": at_us,
        "tenant": tenant,
        "key_id": key_id,
        "action": action,
        "subject": subject,
        "detail": dict(detail or {}),
    }
    connection.execute(insert(audit_log).values(row))


def entries(engine: Engine, tenant: str | None, before: int | None, limit: int) -> list[Entry]:
    """The newest first; of one tenant or of all, those with a smaller id than `before`."""
    asked = select(audit_log).order_by(audit_log.c.audit_id.desc()).limit(limit)
    if tenant is not None:
        asked = asked.where(audit_log.c.tenant == tenant)
    if before is not None:
        asked = asked.where(audit_log.c.audit_id < before)
    with engine.connect() as connection:
        return [Entry(**row._mapping) for row in connection.execute(asked)]
