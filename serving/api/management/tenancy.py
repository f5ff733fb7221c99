"""For whom a request manages: the tenant of its key; an operator's may name another. And the note of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query
from sqlalchemy import Connection

from ingest.lake import utc_now_us
from registry import audit_log
from registry.api_keys import Scope
from registry.audit_log import Note
from registry.registration import BadRegistration, checked_name
from serving.api.caller import Caller
from serving.api.metadata.sight import Sight
from serving.api.problems import Problem, bad_parameter
from serving.api.visit import Visit, needs

Manager = Annotated[Caller, needs(Scope.MANAGE)]


@dataclass(frozen=True, slots=True)
class Tenant:
    """For whom it is done, and by which key."""

    name: str
    caller: Caller

    def note(
        self,
        action: str,
        subject_of: Callable[[Any], str],
        detail_of: Callable[[Any], Mapping[str, Any]] = lambda _: {},
    ) -> Note:
        """Notes in the audit log what was done, given what it came to; an empty subject: nothing was."""

        def note(connection: Connection, done: Any) -> None:
            if subject := subject_of(done):
                audit_log.record(
                    connection,
                    utc_now_us(),
                    self.name,
                    action,
                    subject,
                    detail_of(done),
                    self.caller.key_id,
                )

        return note


async def tenant(
    caller: Manager,
    tenant: Annotated[
        str | None, Query(max_length=64, description="an operator's key may act for another tenant")
    ] = None,
) -> Tenant:
    """Dependency. Raises Problem: 403 for another tenant's name."""
    own = caller.tenant or ""
    if tenant is None or tenant == own:
        return Tenant(own, caller)
    if not caller.is_operator:
        raise Problem(
            403, "The key may not do this", "Only an operator's key acts for another tenant", field="tenant"
        )
    try:
        return Tenant(checked_name("tenant", tenant), caller)
    except BadRegistration as error:
        raise bad_parameter("tenant", str(error)) from None


For = Annotated[Tenant, Depends(tenant)]


def sight_of_tenant(ask: Visit, whose: Tenant) -> Sight:
    """The podcasts it tracks, and no others: what one manages must be one's own."""
    mine = ask.core.catalogue.visible.tracked(whose.name)
    return Sight(mine, mine, whose.name, is_operator=False)
