"""What cannot be used is refused with the field named, in a problem document."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from serving.api.core import Core
from tests.serving.api.conftest import of


def problem(client: TestClient, path: str, status: int, **more: object) -> tuple[list[str], str]:
    """The fields named, and the detail."""
    answer = client.get(path, **more)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status and told["title"] and told["detail"]
    return [error["field"] for error in told.get("errors", [])], told["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=1e2", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=5&limit=6", "limit"),
        ("limit=", "limit"),
        ("format=xml", "format"),
        ("format='; drop table dim_shows; --", "format"),
        ("limmit=5", "limmit"),
        ("cursor=", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%00%ff", "cursor"),
        ("cursor=" + "A" * 300, "cursor"),
        ("%ff=1", "�"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(client: TestClient, query: str, field: str) -> None:
    fields, detail = problem(client, f"/v1/shows?{query}", 422)
    assert fields == [field] and len(detail) > 10


def test_a_cursor_serves_no_other_question(client: TestClient, keys: dict[str, str]) -> None:
    head = of(keys["operator"])
    cursor = client.get("/v1/shows?limit=1", headers=head).json()["next"]
    assert client.get(f"/v1/shows?limit=2&cursor={cursor}", headers=head).status_code == 200
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    assert problem(client, f"/v1/shows?cursor={changed}", 422, headers=head)[0] == ["cursor"]


def test_paths_that_lead_nowhere_are_problems(client: TestClient) -> None:
    for path in (
        "/v1/shows/../../etc/passwd",
        "/v1/%2e%2e/secret",
        "/v1/docs/assets/..%2f..%2fcore.py",
        "/x" * 900,
    ):
        assert client.get(path).status_code == 404, path
        assert client.get(path).headers["content-type"] == "application/problem+json"
    answer = client.post("/v1/shows")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["title"] == "Method Not Allowed"


def test_without_a_publication_it_says_so(client: TestClient, core: Core) -> None:
    core.marts._current = None
    answer = client.get("/v1/shows")
    assert (answer.status_code, answer.json()["title"]) == (503, "Nothing is published yet")
    assert answer.headers["retry-after"] == "30"
    assert client.get("/ready").json()["missing"] == ["nothing is published yet"]
    assert client.get("/health").status_code == 200
