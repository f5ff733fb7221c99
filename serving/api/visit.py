"""What a request carries through the API: who asks, which publication, which format; `Ask` gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request, params
from fastapi.dependencies.utils import get_flat_params

from registry.api_keys import Scope
from serving.api.access import Access, Shows
from serving.api.caller import Caller
from serving.api.core import Core
from serving.api.formats import Format
from serving.api.marts import Edition
from serving.api.problems import Problem, bad_parameter
from serving.versions import TO_PUBLISH

KEY = "earshot.visit"  # in the ASGI scope
_DECLARED = "earshot_declared"


@dataclass(slots=True)
class Visit:
    """One request. Made by the gate."""

    core: Core
    caller: Caller
    access: Access
    edition: Edition | None
    query: bytes
    accepted: Format | None  # by the header Accept, or `format`; None: none of ours
    is_reproducible: bool = False  # the answer depends on publication, caller and query alone
    route: str = ""  # its template, for metrics

    @property
    def marts(self) -> Edition:
        """The publication this request reads. Raises Problem: 503, there is none yet."""
        if self.edition is None:
            raise Problem(
                503,
                "Nothing is published yet",
                f"There are no marts to read yet: {TO_PUBLISH}; then ask again",
                headers={"retry-after": "30"},
            )
        return self.edition

    @property
    def shows(self) -> Shows:
        """What of which show the caller may see."""
        return Shows(self.caller, self.access, self.marts.shows)

    def in_version(self, version: int, identity: str) -> Edition:
        """An earlier publication, to go on paging in. Raises Problem: 410."""
        found = self.core.marts.edition(version, identity)
        if found is None:
            raise Problem(
                410,
                "The cursor is too old",
                f"Version {version} of the figures is no longer kept: begin again without the cursor",
                field="cursor",
            )
        return found


async def visit(request: Request) -> Visit:
    """Dependency: the visit of this request. Raises Problem: 422 for a query parameter nobody declared."""
    here: Visit = request.scope[KEY]
    route = request.scope["route"]
    here.route = route.path
    if request.scope["query_string"]:
        _check_names(request, _declared(route))
    return here


Ask = Annotated[Visit, Depends(visit)]


async def visit_of_table(
    ask: Ask,
    format: Annotated[
        Format | None, Query(description="instead of the header Accept; CSV and Parquet hold the rows alone")
    ] = None,
) -> Visit:
    """Dependency: the visit, in a format there is. Raises Problem: 406."""
    if format is not None:
        ask.accepted = format
    if ask.accepted is None:
        raise Problem(
            406,
            "No such format",
            "There are application/json, text/csv and application/vnd.apache.parquet",
            field="Accept",
        )
    return ask


AskTable = Annotated[Visit, Depends(visit_of_table)]


def needs(scope: Scope) -> Any:
    """Dependency that admits only keys with the scope: 401 without a key, 403 with another."""

    async def check(ask: Ask) -> Caller:
        check_scope(ask.caller, scope)
        return ask.caller

    return Depends(check)


def check_scope(caller: Caller, scope: Scope) -> None:
    """Raises Problem: 401 without a key, 403 with one that has not the scope."""
    if caller.key_id is None:
        raise Problem(
            401,
            "A key is needed",
            f"Send a key with the scope {scope}: Authorization: Bearer es_…",
            field="Authorization",
            headers={"www-authenticate": "Bearer"},
        )
    if not caller.may(scope):
        raise Problem(403, "The key may not do this", f"This needs the scope {scope}", field="Authorization")


def _declared(route: Any) -> dict[str, bool]:
    """Names of the query parameters of a route → whether it may be given several times."""
    known: dict[str, bool] | None = getattr(route, _DECLARED, None)
    if known is None:
        known = {
            field.alias: "list" in str(field.field_info.annotation)
            for field in get_flat_params(route.dependant)
            if isinstance(field.field_info, params.Query)
        }
        setattr(route, _DECLARED, known)  # routes cannot be hashed
    return known


def _check_names(request: Request, declared: dict[str, bool]) -> None:
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise bad_parameter(name[:100], f"there is no such parameter here; there are: {known}")
        if name in seen and not declared[name]:
            raise bad_parameter(name, "it is given more than once")
        seen.add(name)
