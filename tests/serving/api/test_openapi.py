"""schemathesis calls every endpoint with what its document allows, and with what not: nothing fails here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from registry.database import connect
from serving.api.app import ROUTERS, create_app
from tests.serving.api.conftest import ALL_SHOWS, keys_of, of, settings_of
from tests.serving.api.published import marked, publish_rows

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 4  # of an endpoint and mode: there are some sixty endpoints


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """Every mart has a row of every show."""
    data: Path = tmp_path_factory.mktemp("openapi")
    publish_rows(data / "published", marked(ALL_SHOWS))
    connect(None, data).dispose()
    return create_app(settings_of(data))


def test_no_address_is_served_twice() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    served = Counter((method, route.path) for route in routes for method in route.methods)
    assert [address for address, times in served.items() if times > 1] == []


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_call_fails_and_each_answer_is_as_documented(app: FastAPI, mode: GenerationMode) -> None:
    # One test of all endpoints: the plugin that makes one of each does not know this pytest.
    head = of(keys_of(app.state.core)["operator"])
    document = schemathesis.openapi.from_asgi("/v1/openapi.json", app)
    wrong = []
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) >= 4
    for operation in operations:

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(operation.as_strategy(generation_mode=mode))
        def call(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=head, checks=CHECKS)

        try:
            call()
        except Unsatisfiable:  # nothing of it can be wrong
            pass
        except Exception as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)
