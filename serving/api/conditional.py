"""Conditional requests (RFC 9110 §13.1.2) for answers that have their own ETag."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response

_OF_BODY = ("content-length", "content-type")


def is_known(request: Request, tag: str) -> bool:
    """Whether the caller says that it has this very answer."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or tag in [one.strip() for one in known.split(",")]


def not_modified(headers: Mapping[str, str]) -> Response:
    """304, with those of the answer's headers that its copies are to keep."""
    return Response(status_code=304, headers={n: v for n, v in headers.items() if n not in _OF_BODY})
