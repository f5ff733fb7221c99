"""Before Dagster's webserver: what other pages in the operator's browser may not do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from orchestration.webserver_gate import WebserverGate

HERE = {"host": "127.0.0.1:3000"}


def asked(
    path: str = "/graphql",
    method: str = "POST",
    kind: str = "http",
    query: str = "",
    names: tuple[str, ...] = ("dagster.example.com",),
    **headers: str,
) -> tuple[bool, int, dict[str, list[str]]]:
    """Whether Dagster was reached, the status, the answer's headers."""
    reached, sent = False, list[dict[str, Any]]()

    async def dagster(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True
        if scope["type"] == "http":
            headers = [(b"content-security-policy", b"base-uri 'none'")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    given = {name.replace("_", "-"): value for name, value in (HERE | headers).items()}
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(WebserverGate(dagster, names)(scope, receive, send))
    told: dict[str, list[str]] = {}
    for name, value in sent[0].get("headers", ()) if sent else ():
        told.setdefault(name.decode(), []).append(value.decode())
    return reached, sent[0].get("status", 0) if sent else 0, told


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:3000", "sec_fetch_site": "same-origin"},
        {"host": "localhost:3000", "origin": "http://localhost:3000"},
        {"host": "[::1]:3000"},
        {"host": "dagster.example.com", "origin": "https://dagster.example.com"},
        {},  # a program
    ],
)
def test_its_own_page_and_programs_are_answered(headers: dict[str, str]) -> None:
    assert asked(**headers)[:2] == (True, 200)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://127.0.0.1:8080"},
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/requests", "/graphql/"])
def test_another_page_may_not_ask(path: str, headers: dict[str, str]) -> None:
    assert asked(path, **headers)[:2] == (False, 403)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "", "[", "2130706433"]
)
def test_a_name_that_turns_to_this_machine_is_refused(host: str) -> None:
    assert asked(host=host)[:2] == (False, 403)
    assert asked("/", "GET", host=host)[:2] == (False, 403)


def test_a_pictures_address_launches_no_run() -> None:
    assert asked(method="GET", query="query=mutation%20%7B%20setNuxSeen%20%7D")[:2] == (False, 403)
    assert asked(method="GET", query="%71uery=mutation")[:2] == (False, 403)
    assert asked(method="GET")[:2] == (True, 200)


def test_another_page_hears_no_events() -> None:
    assert asked(kind="websocket", origin="https://evil.example")[0] is False
    assert asked(kind="websocket", origin="http://127.0.0.1:3000")[0] is True


def test_a_link_in_an_alert_opens_a_run() -> None:
    assert asked("/runs/abc", "GET", sec_fetch_site="cross-site")[:2] == (True, 200)


def test_it_is_shown_in_no_frame() -> None:
    for told in (asked()[2], asked(origin="https://evil.example")[2]):
        assert "frame-ancestors 'none'" in told["content-security-policy"]
        assert told["x-frame-options"] == ["DENY"]
    assert "base-uri 'none'" in asked()[2]["content-security-policy"]


@pytest.mark.parametrize("is_away", [True, False])
def test_a_page_asked_for_while_the_database_is_away_says_so(is_away: bool) -> None:
    sent = list[dict[str, Any]]()

    async def dagster(scope: Any, receive: Any, send: Any) -> None:
        """As Starlette does it: the answer first, then the error for the server's log."""
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"Internal Server Error"})
        if not is_away:
            raise KeyError("a fault")
        refused = OSError("Connection refused")
        raise RuntimeError("while looking") from OperationalError("select 1", {}, refused)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    scope = {"type": "http", "method": "GET", "path": "/runs", "headers": [(b"host", b"127.0.0.1:3000")]}
    asking = WebserverGate(dagster)(scope, receive, send)
    if is_away:
        asyncio.run(asking)
        assert sent[0]["status"] == 503 and b"does not answer" in sent[1]["body"]
        return
    with pytest.raises(KeyError):
        asyncio.run(asking)
    assert [each.get("status") for each in sent] == [500, None], "another fault is answered as Dagster does"
