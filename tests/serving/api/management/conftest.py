"""What tests of management do again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.serving.api.conftest import of

Call = Callable[..., Any]


@pytest.fixture
def call(client: TestClient, keys: dict[str, str]) -> Call:
    """call("ann", "POST", path, json=…, status=201) → the JSON of the answer."""

    def made(who: str | None, method: str, path: str, status: int = 200, **more: Any) -> Any:
        headers = {**(of(keys[who]) if who else {}), **more.pop("headers", {})}
        answer = client.request(method, path, headers=headers, **more)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()

    return made


def fields(problem: dict[str, Any]) -> list[str]:
    """The fields that a problem names."""
    return [error["field"] for error in problem["errors"]]
