"""Problem details (RFC 9457): every error of the API is one, and names the field that is at fault."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.reports.asking import BadQuestion

MOST_ERRORS = 20  # told of a request
_MOST_NAME_CHARS = 200  # a body's unknown keys are as long as it likes
MEDIA_TYPE = "application/problem+json"

AWAY_S = 10  # when to ask again while the registry is away

log = logging.getLogger("earshot.api")


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["from"])
    reason: str = Field(examples=["2026-02-30 is no date"])


class ProblemBody(BaseModel):
    """RFC 9457. `errors` names the fields at fault, where there are such."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(default="about:blank", examples=["about:blank"])
    title: str = Field(examples=["A parameter cannot be used"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["from: 2026-02-30 is no date; dates are written YYYY-MM-DD"])
    errors: list[FieldError] = []


class Problem(Exception):
    """An error the caller is told; `detail` says what to do about it."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.errors = [(field, detail)] if field is not None else list(errors)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [{"field": field, "reason": reason} for field, reason in self.errors]
        headers = {"cache-control": "no-store", **self.headers}
        return Response(_json(body), self.status, headers, MEDIA_TYPE)


def bad_parameter(field: str, reason: str) -> Problem:
    """422 for one parameter."""
    return Problem(422, "A parameter cannot be used", reason, field=field)


def unexpected(error: BaseException, path: str) -> Problem:
    """500: the caller learns nothing of the cause, the log all of it."""
    log.error("failed: %s", path, exc_info=error)
    return Problem(
        500, "The server failed", "Something went wrong here, not with your request; try again later"
    )


def handle_problems(app: FastAPI, page: Callable[[Request, Problem], Response]) -> None:
    """Make whatever FastAPI and Starlette raise a problem, too; `page` tells one to a browser that asks for
    what is no part of the API.
    """

    async def told(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _of_validation(error).response()

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if _is_browsing(request):
            return page(request, _of_http(error, "There is none under this address; it may be mistyped"))
        return _of_http(error).response()

    async def no_answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, BadQuestion)
        return bad_parameter(error.field, error.reason).response()

    async def away(_: Request, error: Exception) -> Response:
        assert isinstance(error, OperationalError)
        log.error("the registry failed: %s", str(error.orig).strip().partition("\n")[0])
        return registry_away("What this asks for").response()

    app.add_exception_handler(Problem, told)
    app.add_exception_handler(OperationalError, away)
    app.add_exception_handler(BadQuestion, no_answer)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def registry_away(what: str) -> Problem:
    """`what` is kept there."""
    detail = f"{what} is kept in a database that does not answer; ask again in {AWAY_S} seconds"
    return Problem(503, "The registry does not answer", detail, headers={"retry-after": str(AWAY_S)})


def _of_validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    errors = []
    for each in found[:MOST_ERRORS]:
        place, *names = each["loc"]
        errors.append(((".".join(map(str, names)) or str(place))[:_MOST_NAME_CHARS], _reason(each)))
    detail = "; ".join(f"{field}: {reason}" for field, reason in errors)
    if len(found) > MOST_ERRORS:
        detail += f"; and {len(found) - MOST_ERRORS:,} more"
    is_body = any(each["loc"][0] == "body" for each in found)
    title = "The body cannot be used" if is_body else "A parameter cannot be used"
    return Problem(422, title, detail, errors=errors)


def _reason(error: Mapping[str, Any]) -> str:
    """Pydantic's words, without those it puts before ours."""
    reason = str(error["msg"]).removeprefix("Value error, ")
    return reason[:1].lower() + reason[1:]


def _is_browsing(request: Request) -> bool:
    """Whether it wants a page: outside the API, from who reads HTML."""
    return "text/html" in request.headers.get("accept", "") and not f"{request.url.path}/".startswith("/v1/")


def _of_http(
    error: HTTPException,
    nothing: str = "There is nothing under this path; GET /v1/openapi.json lists what there is",
) -> Problem:
    details = {
        404: nothing,
        405: "This path does not know this method; the header Allow names those it knows",
    }
    title = HTTPStatus(error.status_code).phrase
    detail = details.get(error.status_code, str(error.detail))
    return Problem(error.status_code, title, detail, headers=error.headers)


def _json(body: object) -> bytes:
    # A lone surrogate of a hostile path would not be UTF-8.
    try:
        return orjson.dumps(body)
    except TypeError:
        return orjson.dumps(_clean(body))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value
