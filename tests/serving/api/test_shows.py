"""GET /v1/shows: a caller sees its own shows and the open ones, page by page, in three formats."""

from __future__ import annotations

import io

import polars as pl
from starlette.testclient import TestClient

from serving.api.core import Core
from tests.serving.api.conftest import ALL_SHOWS, SHOWS, of
from tests.serving.api.published import a_show, publish_rows


def ids(client: TestClient, **more: object) -> list[str]:
    answer = client.get("/v1/shows", **more)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [row["show_id"] for row in answer.json()["data"]]


def test_a_tenant_sees_its_shows_and_the_open_ones(client: TestClient, keys: dict[str, str]) -> None:
    assert ids(client, headers=of(keys["ann"])) == [*SHOWS["ann"], "open-1"]
    assert ids(client, headers=of(keys["bob"])) == [*SHOWS["bob"], "open-1"]
    assert ids(client) == ["open-1"]
    assert ids(client, headers=of(keys["operator"])) == ALL_SHOWS


def test_pages_follow_each_other_in_one_publication(
    client: TestClient, core: Core, keys: dict[str, str]
) -> None:
    head = of(keys["operator"])
    first = client.get("/v1/shows?limit=2", headers=head).json()
    publish_rows(core.settings.platform.published_dir, {"dim_shows": [a_show("ann-0")]})
    core.refresh()
    seen, cursor = [row["show_id"] for row in first["data"]], first["next"]
    while cursor:
        page = client.get(f"/v1/shows?limit=2&cursor={cursor}", headers=head).json()
        assert page["version"] == first["version"]
        seen, cursor = seen + [row["show_id"] for row in page["data"]], page["next"]
    assert seen == ALL_SHOWS
    assert ids(client, headers=head) == ["ann-0"]


def test_the_rows_are_the_same_in_each_format(client: TestClient, keys: dict[str, str]) -> None:
    head = of(keys["ann"])
    asked = [row["show_id"] for row in client.get("/v1/shows", headers=head).json()["data"]]
    csv = client.get("/v1/shows", headers={**head, "accept": "text/csv"})
    assert pl.read_csv(io.BytesIO(csv.content))["show_id"].to_list() == asked
    parquet = client.get("/v1/shows?format=parquet", headers=head)
    assert pl.read_parquet(io.BytesIO(parquet.content))["show_id"].to_list() == asked
    assert client.get("/v1/shows", headers={**head, "accept": "image/png"}).status_code == 406


def test_what_did_not_change_is_not_sent_again(client: TestClient, core: Core, keys: dict[str, str]) -> None:
    head = of(keys["ann"])
    first = client.get("/v1/shows", headers=head)
    again = client.get("/v1/shows", headers={**head, "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/v1/shows", headers={**of(keys["bob"]), "if-none-match": first.headers["etag"]})
    assert other.status_code == 200
    publish_rows(core.settings.platform.published_dir, {"dim_shows": [a_show("ann-1")]})
    core.refresh()
    fresh = client.get("/v1/shows", headers={**head, "if-none-match": first.headers["etag"]})
    assert (fresh.status_code, [row["show_id"] for row in fresh.json()["data"]]) == (200, ["ann-1"])
