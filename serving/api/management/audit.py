"""GET /v1/audit: who changed what of a tenant's, newest first."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from registry.audit_log import entries
from serving.api.management.tenancy import For
from serving.api.metadata.answers import PlaceAsked, listed, rows_answer
from serving.api.routing import Router
from serving.api.visit import AskTable
from serving.metadata.told import instant

router = Router(prefix="/v1", tags=["management"])


class AuditRow(BaseModel):
    """A change."""

    audit_id: int = Field(examples=[12])
    at: str | None = Field(examples=["2026-11-29T06:00:00.000000Z"])
    key_id: int | None = Field(description="by which key; null: by a command of the house", examples=[4])
    action: str = Field(examples=["subscription.made"])
    subject: str = Field(examples=["3"])
    detail: dict[str, Any] = Field(examples=[{"url": "https://example.com/hook", "mode": "immediate"}])


@router.get("/audit", responses=listed(AuditRow, 401, 403), summary="Who changed what")
def list_audit(ask: AskTable, request: Request, whose: For, place: PlaceAsked) -> Response:
    """Of what is yours; the newest first."""
    before = None if place.after is None else int(place.after[0])
    found = entries(ask.core.engine, whose.name, before, place.limit + 1)
    rows = [
        {
            "audit_id": one.audit_id,
            "at": instant(one.at_us),
            "key_id": one.key_id,
            "action": one.action,
            "subject": one.subject,
            "detail": dict(one.detail),
        }
        for one in found[: place.limit]
    ]
    cursor = place.cursor([found[place.limit - 1].audit_id]) if len(found) > place.limit else None
    return rows_answer(ask, request, list(AuditRow.model_fields), rows, cursor)
