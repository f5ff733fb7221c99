"""What the gate does for every answer: ETags, memory, gzip, HEAD, limits, security headers, plain errors."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Annotated, Any

import duckdb
import pytest
from fastapi import Body, FastAPI
from starlette.responses import Response
from starlette.testclient import TestClient

from serving.api.answers import plain_answer, table_answer
from serving.api.app import create_app
from serving.api.core import Core
from serving.api.formats import to_csv
from serving.api.marts import Rows
from serving.api.routing import Router
from serving.api.visit import Ask, AskTable
from serving.versions import switch
from tests.serving.api.conftest import keys_of, of, settings_of
from tests.serving.api.published import a_show, publish_rows


class Calls:
    """How often the routes below were reached."""

    count = 0


def routes() -> Router:
    router = Router(prefix="/test")

    @router.get("/table")
    def table(ask: AskTable, many: int = 0) -> Response:
        Calls.count += 1
        text = "=1+1" if not many else "x" * many
        return table_answer(ask, Rows(["name", "number"], [{"name": text, "number": -1}]))

    @router.get("/broken")
    def broken(ask: Ask) -> Response:
        raise duckdb.CatalogException("Table secret_table does not exist")

    @router.post("/body")
    async def body(ask: Ask, words: Annotated[list[str], Body()]) -> Response:
        return plain_answer(len(words))

    return router


@pytest.fixture
def client(data: Path) -> Iterator[TestClient]:
    app: FastAPI = create_app(settings_of(data, cors="https://pages.example", max_body_bytes=2000))
    app.include_router(routes())
    Calls.count = 0
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_the_same_question_is_asked_of_the_marts_once_a_publication(client: TestClient, core: Core) -> None:
    first = client.get("/test/table?many=3&format=json")
    assert client.get("/test/table?format=json&many=3").content == first.content
    again = client.get("/test/table?many=3&format=json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, Calls.count) == (304, b"", 1)
    assert client.get("/test/table?many=4&format=json").headers["etag"] != first.headers["etag"]
    publish_rows(core.settings.platform.published_dir, {"dim_shows": [a_show("new")]})
    core.refresh()
    fresh = client.get("/test/table?many=3&format=json", headers={"if-none-match": first.headers["etag"]})
    assert (fresh.status_code, fresh.json()["version"], Calls.count) == (200, 2, 3)


def test_a_tag_never_returns_with_another_content(client: TestClient, core: Core) -> None:
    published = core.settings.platform.published_dir
    publish_rows(published, {"dim_shows": [a_show("ann-1", episodes=2)]})
    core.refresh()
    first = client.get("/test/table")
    switch(published, "00000001")
    core.refresh()
    shutil.rmtree(published / "00000002")
    publish_rows(published, {"dim_shows": [a_show("ann-1", episodes=7)]})
    core.refresh()
    again = client.get("/test/table", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.json()["version"]) == (200, 2)
    assert again.headers["etag"] != first.headers["etag"]


def test_an_answer_is_never_another_callers(client: TestClient, core: Core) -> None:
    keys = keys_of(core)
    tags = {name: client.get("/test/table", headers=of(key)).headers["etag"] for name, key in keys.items()}
    tags["anybody"] = client.get("/test/table").headers["etag"]
    assert len(set(tags.values())) == 4 and Calls.count == 4


def test_each_dress_of_an_answer_has_its_own_tag(client: TestClient) -> None:
    asked = [
        {"accept": "application/json", "accept-encoding": "identity"},
        {"accept": "application/json", "accept-encoding": "gzip"},
        {"accept": "text/csv", "accept-encoding": "gzip"},
    ]
    answers = [client.get("/test/table?many=5000", headers=each) for each in asked]
    assert len({answer.headers["etag"] for answer in answers}) == 3
    assert [answer.headers.get("content-encoding") for answer in answers] == [None, "gzip", "gzip"]
    assert all("Accept-Encoding" in answer.headers["vary"] for answer in answers)
    assert answers[0].json() == answers[1].json()


def test_long_answers_are_packed_for_who_can_unpack(client: TestClient) -> None:
    with client.stream("GET", "/test/table?many=5000", headers={"accept-encoding": "br, gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert len(raw) < 500 and len(gzip.decompress(raw)) > 5000
    assert int(answer.headers["content-length"]) == len(raw)
    short = client.get("/test/table", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


def test_what_refuses_gzip_gets_none(client: TestClient) -> None:
    for accepted in ("gzip;q=0", "br, GZIP ; q=0.0", "gzip;q=none", "notgzip", ""):
        answer = client.get("/test/table?many=5000", headers={"accept-encoding": accepted})
        assert "content-encoding" not in answer.headers, accepted
    for accepted in ("gzip;q=0.5", "identity;q=0, GZip", "x-gzip"):
        answer = client.get("/test/table?many=5000", headers={"accept-encoding": accepted})
        assert answer.headers["content-encoding"] == "gzip", accepted


def test_head_is_get_without_the_body(client: TestClient) -> None:
    full, head = client.get("/test/table"), client.head("/test/table")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["etag"] == full.headers["etag"]
    assert head.headers["content-length"] == full.headers["content-length"]


def test_nobody_is_sent_to_a_host_that_a_request_names(client: TestClient) -> None:
    for path in (
        "/v1/shows/",
        "/podcasts/",
        "/session/",
        "/v1/docs/",
        "/v1/docs/assets",
    ):
        answer = client.get(path, headers={"host": "evil.example"}, follow_redirects=False)
        assert answer.status_code == 404 and "location" not in answer.headers, path


def test_a_cell_that_a_spreadsheet_would_run_is_text(client: TestClient) -> None:
    assert client.get("/test/table?format=csv").text == "name,number\r\n'=1+1,-1\r\n"
    assert client.get("/test/table").json()["data"] == [{"name": "=1+1", "number": -1}]


def test_in_csv_numbers_are_as_they_are_and_texts_come_back_whole() -> None:
    cells = ["-4211503829512346624", "-1.5", "+49", -7, -0.5, "two\nlines", "a\r\nb", 'q"q', "x,y", None]
    guarded = ["\n=1+1", "-1+2", "--1", "@sum", "=1", "-1\n", "\t=1", "+"]
    written = to_csv(["cell"], [{"cell": cell} for cell in [*cells, *guarded]]).decode()
    read = [row[0] if row else "" for row in csv.reader(io.StringIO(written, newline=""))]
    assert read[1 : len(cells) + 1] == ["" if cell is None else str(cell) for cell in cells]
    assert read[len(cells) + 1 :] == [f"'{cell}" for cell in guarded]


def test_a_failure_tells_nothing_of_its_cause(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get("/test/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret_table" not in answer.text and "Traceback" not in answer.text
    assert "secret_table" in caplog.text


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: TestClient) -> None:
    assert client.post("/test/body", json=["a", "b"]).text == "2"
    large = client.post("/test/body", json=["x" * 3000])
    assert (large.status_code, large.json()["title"]) == (413, "The body is too large")
    parts = client.post("/test/body", content=(b"[" + b" " * 900 for _ in range(4)))
    assert parts.status_code == 413


def test_a_body_that_stops_is_refused_and_one_that_goes_on_is_not(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.gate.BODY_WAIT_S", 0.3)

    def sent(pause_s: float) -> int:
        parts = [b'["a"', b', "b"', b"]"]

        async def receive() -> dict[str, object]:
            await asyncio.sleep(pause_s if len(parts) < 3 else 0)
            body = parts.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(parts)}

        answers: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            answers.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/test/body",
            "raw_path": b"/test/body",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "scheme": "http",
        }
        assert client.portal
        client.portal.call(client.app, scope, receive, send)
        return int(answers[0]["status"])

    assert (sent(0.0), sent(5.0)) == (200, 408)


def test_every_answer_forbids_what_browsers_could_make_of_it(client: TestClient) -> None:
    for path in ("/test/table", "/test/broken", "/nowhere", "/health"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path


def test_only_pages_of_the_setting_may_read_answers(client: TestClient) -> None:
    mine = client.get("/test/table", headers={"origin": "https://pages.example"})
    assert mine.headers["access-control-allow-origin"] == "https://pages.example"
    other = client.get("/test/table", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    asked = {"origin": "https://pages.example", "access-control-request-method": "GET"}
    assert client.options("/test/table", headers=asked).status_code == 200
