"""Health, readiness, metrics, the OpenAPI document and its page."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from starlette.testclient import TestClient

from serving import platform_metrics
from serving.api.core import Core
from serving.versions import switch
from tests.serving.api.conftest import of


def samples(client: TestClient, key: str) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics", headers=of(key))
    assert answer.status_code == 200
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_not_by_path(client: TestClient, keys: dict[str, str]) -> None:
    ok = ("earshot_api_requests_total", "method=GET", "route=/v1/shows", "status=200")
    lost = ("earshot_api_requests_total", "method=GET", "route=(none)", "status=404")
    before = samples(client, keys["operator"])
    for _ in range(3):
        client.get("/v1/shows", headers=of(keys["ann"]))
    for number in range(5):
        client.get(f"/nowhere/{number}")
    after = samples(client, keys["operator"])
    assert after[ok] - before.get(ok, 0) == 3  # one asked, two from memory
    assert after[lost] - before.get(lost, 0) == 5
    assert after[("earshot_api_request_seconds_count", "route=/v1/shows")] >= 3
    assert after[("earshot_published_version",)] == 1
    assert after[("earshot_published_age_seconds",)] >= 0


def test_metrics_are_for_who_runs_it(client: TestClient, keys: dict[str, str]) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=of(keys["ann"])).status_code == 403


def test_it_is_not_ready_while_the_registry_is_away(
    client: TestClient, core: Core, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/ready").json()["status"] == "ready"
    with core.engine.begin() as connection:
        connection.execute(text("alter table access_revisions rename to gone"))
    core.refresh()
    answer = client.get("/ready")
    assert answer.status_code == 503 and "the registry does not answer" in answer.json()["missing"][0]
    assert client.get("/v1/shows", headers=of(keys["ann"])).status_code == 200  # as last known
    # Nobody can tell whether that key was made meanwhile: its holder is not told that it is none.
    unknown = client.get("/v1/shows", headers=of("es_" + "A" * 43))
    assert unknown.status_code == 503 and int(unknown.headers["retry-after"]) > 0
    assert client.get("/v1/shows", headers=of("es_short")).status_code == 401


def test_a_publication_that_cannot_be_read_is_told_while_the_former_is_served(
    client: TestClient, core: Core
) -> None:
    published = core.settings.platform.published_dir
    (published / "00000002").mkdir()
    (published / "00000002" / "manifest.json").write_text("{}", "utf-8")
    switch(published, "00000002")
    core.refresh()
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert "version 00000002 cannot be read" in answer.json()["warnings"][0]
    assert client.get("/v1/shows").status_code == 200
    switch(published, "00000001")
    core.refresh()
    assert client.get("/ready").json()["warnings"] == []


def test_the_documentation_page_asks_nobody_else(client: TestClient) -> None:
    page = client.get("/v1/docs")
    assert page.status_code == 200
    for part in page.text.split('"'):
        if part.startswith("/v1/"):
            assert client.get(part).status_code == 200, part
    assert "http" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "default-src 'none'" in policy


def test_every_endpoint_is_described(client: TestClient) -> None:
    told = client.get("/v1/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("summary") and operation.get("description"), where
            assert "422" in operation["responses"] and "429" in operation["responses"], where
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), f"{where}: {parameter['name']}"


def test_the_installation_is_measured_too(
    client: TestClient, core: Core, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_metrics, "KEPT_S", 0.0)
    told = samples(client, keys["operator"])
    assert told[("earshot_disk_free_bytes", "folder=data")] > 0
    assert told[("earshot_webhooks_waiting",)] == 0 and told[("earshot_webhooks_late_seconds",)] == 0
    for part in platform_metrics.PARTS:
        assert told[("earshot_metrics_failed", f"part={part}")] == 0
    with core.engine.begin() as connection:
        connection.execute(text("alter table deliveries rename to gone"))
    core.platform._until = 0.0
    told = samples(client, keys["operator"])
    assert told[("earshot_metrics_failed", "part=webhooks")] == 1
    assert ("earshot_webhooks_waiting",) not in told
    assert told[("earshot_disk_free_bytes", "folder=data")] > 0, "one part that fails keeps no other away"
