"""Bodies of several kinds: JSON that is checked by a model, or a file that the registry's readers take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from registry.registration import Reject, RejectReason
from serving.api.problems import Problem

JSON, CSV = "application/json", "text/csv"
OPML = ("text/x-opml", "application/xml", "text/xml", "application/opml+xml")
SHOWN_REJECTS = 1_000
BAD_VALUE = RejectReason.BAD_VALUE

Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request, *allowed: str) -> tuple[str, bytes]:
    """(media type, body). Raises Problem: 415 for another type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in allowed:
        raise Problem(
            415,
            "The body has another type",
            f"Send it as one of {', '.join(allowed)} and say so",
            field="Content-Type",
            headers={"accept-post": ", ".join(allowed)},
        )
    try:
        return kind, await request.body()
    except ClientDisconnect:
        raise Problem(400, "The request cannot be read", "The connection broke off within the body") from None


def parsed(model: type[Model], body: bytes) -> Model:
    """The JSON in `body`. Raises RequestValidationError, which becomes a problem that names the field."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        found = [{**each, "loc": ("body", *each["loc"])} for each in told]
        raise RequestValidationError(found) from None


@contextmanager
def as_file(body: bytes) -> Iterator[Path]:
    """The body as the file that the registry's readers want."""
    with tempfile.TemporaryDirectory(prefix="earshot-body-") as folder:
        path = Path(folder) / "body"
        path.write_bytes(body)
        yield path


def described(model: type[BaseModel], *others: str) -> dict[str, Any]:
    """`openapi_extra=` of an endpoint that reads its body itself."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    content: dict[str, Any] = {JSON: {"schema": schema}}
    content |= {kind: {"schema": {"type": "string"}} for kind in others}
    return {"requestBody": {"required": True, "content": content}}


def rejects(found: list[Reject]) -> dict[str, Any]:
    """What was refused, line by line, for the answer."""
    shown = [
        {"line": each.line, "reason": str(each.reason), "detail": each.detail}
        for each in found[:SHOWN_REJECTS]
    ]
    return {"rejected": len(found), "rejects": shown}
