"""Two tenants never see each other: 200 generated attempts over every GET endpoint of the document."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from registry.database import connect
from serving.api import sessions
from serving.api.app import create_app
from serving.api.core import Core
from serving.api.sessions import Session, issue
from tests.serving.api.conftest import ALL_SHOWS, SHOWS, keys_of, of, settings_of
from tests.serving.api.published import mark, marked, publish_rows

ATTEMPTS = 200
FOREIGN = {"ann": SHOWS["bob"], "bob": SHOWS["ann"], "anybody": (*SHOWS["ann"], *SHOWS["bob"])}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Every mart has a row of every show, whose texts name the show."""
    data: Path = tmp_path_factory.mktemp("tenants")
    publish_rows(data / "published", marked(ALL_SHOWS))
    connect(None, data).dispose()
    with TestClient(create_app(settings_of(data)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def core(client: TestClient) -> Core:
    found: Core = client.app.state.core  # type: ignore[attr-defined]
    return found


@pytest.fixture(scope="module")
def keys(core: Core) -> dict[str, str]:
    return keys_of(core)


@pytest.fixture(scope="module")
def paths(client: TestClient) -> dict[str, list[dict[str, Any]]]:
    """Path template → its parameters, of all GET endpoints."""
    told = client.get("/v1/openapi.json").json()
    named = told["components"]["schemas"]
    found = {path: each["get"].get("parameters", []) for path, each in told["paths"].items() if "get" in each}
    for parameter in (each for parameters in found.values() for each in parameters):
        schema = parameter["schema"]
        options = schema.get("anyOf", [schema])
        resolved = [named[each["$ref"].split("/")[-1]] if "$ref" in each else each for each in options]
        parameter["schema"] = {**schema, "anyOf": resolved}
    return found


def tricks(show: str) -> list[str]:
    """Ways to write another's show, some of which a careless server takes for it."""
    return [
        show, show.upper(), f"{show} ", f" {show}", f"{show}%00", f"{show}/", f"{show};", f"./{show}",
        f"x/../{show}", f"{show}' or '1'='1", "' union select * from dim_shows --", f"%{show[1:]}",
        f"{show[0]}%", "*", "_" * 5, f"open-1,{show}", f"open-1&show_id={show}", f"{show}#", f"{show}?x=1",
        quote(show, safe="").replace("-", "%2D"),
    ]  # fmt: skip


def values(parameter: dict[str, Any], show: str, chance: random.Random) -> list[str]:
    """Values that might lead to the other's show, else such as the parameter allows."""
    schema = parameter["schema"]
    if "examples" in schema and parameter.get("required"):
        return [str(schema["examples"][0])]
    options = schema.get("anyOf", [schema])
    enums = [value for option in options for value in option.get("enum", [])]
    if enums:
        return [str(chance.choice(enums))]
    if parameter["name"] == "cursor":
        return []
    if any(option.get("type") in ("integer", "number") for option in options):
        return [chance.choice(("7000001", "7000002", "7000003", "7001"))]
    if any(option.get("format") == "date" for option in options):
        return ["2026-09-01"]
    return [chance.choice(tricks(show))]


def attempt(
    paths: dict[str, list[dict[str, Any]]], show: str, chance: random.Random
) -> tuple[str, dict[str, str]]:
    """A URL and its query."""
    path = chance.choice(sorted(paths))
    query: dict[str, str] = {}
    for parameter in paths[path]:
        if parameter["in"] == "path":
            value = show if chance.random() < 0.4 else chance.choice(tricks(show))
            safe = "/%" if chance.random() < 0.3 else ""
            path = path.replace("{" + parameter["name"] + "}", quote(value, safe=safe))
            path = path.replace("{" + parameter["name"] + ":path}", quote(value, safe=safe))
        elif (
            parameter["in"] == "query"
            and chance.random() < 0.4
            and (found := values(parameter, show, chance))
        ):
            query[parameter["name"]] = chance.choice(found)
    if chance.random() < 0.2:
        query[chance.choice(("show_id", "tenant", "show", "owner"))] = chance.choice((show, "bob", "ann"))
    return path, query


def test_no_attempt_brings_another_tenants_byte(
    client: TestClient, core: Core, keys: dict[str, str], paths: dict[str, list[dict[str, Any]]]
) -> None:
    chance = random.Random(8)
    answered = 0
    # Whose answers are in memory already must not matter.
    for tenant, shows in SHOWS.items():
        for show in shows:
            client.get(f"/v1/shows/{show}", headers=of(keys.get(tenant, keys["operator"])))
    for number in range(ATTEMPTS):
        who = ("ann", "bob", "anybody")[number % 3]
        show = chance.choice(FOREIGN[who])
        path, query = attempt(paths, show, chance)
        headers = of(keys[who]) if who in keys else {}
        if chance.random() < 0.3:
            headers |= {"x-tenant": "bob", "x-forwarded-user": "bob", "x-original-url": f"/v1/shows/{show}"}
        if chance.random() < 0.3:
            forged = issue(b"guessed" * 5, Session(2**60, key_id=3 - number % 2, tenant="bob"))
            headers["cookie"] = f"{sessions.COOKIE}={forged}"
        if chance.random() < 0.3:
            headers["accept"] = chance.choice(("text/csv", "application/vnd.apache.parquet", "text/html"))
        answer = client.get(path, params=query, headers=headers)
        asked = f"{who}: {answer.request.url} {headers}"
        assert answer.status_code < 500, asked
        answered += answer.status_code == 200
        for foreign in FOREIGN[who]:
            assert mark(foreign).encode() not in answer.content, asked
            if show not in str(answer.request.url):
                assert foreign.encode() not in answer.content, asked
    assert answered > ATTEMPTS / 20  # they are no mere misspellings


def test_what_is_forbidden_looks_like_what_is_not_there(
    client: TestClient, keys: dict[str, str], paths: dict[str, list[dict[str, Any]]]
) -> None:
    of_shows = [path for path in paths if path.startswith("/v1/shows/{show_id}")]
    for path in of_shows:
        required = {
            parameter["name"]: values(parameter, "x", random.Random(1))[0]
            for parameter in paths[path]
            if parameter["in"] == "query" and parameter.get("required")
        }
        told = [
            client.get(
                path.replace("{show_id}", show).replace("{episode_id}", "e"), params=required, headers=head
            )
            for show in (SHOWS["bob"][0], "never-was")
            for head in (of(keys["ann"]), {})
        ]
        assert [answer.status_code for answer in told] == [404] * 4, path
        assert len({answer.content for answer in told}) == 1, path


def test_owners_and_the_operator_see_what_others_do_not(client: TestClient, keys: dict[str, str]) -> None:
    # Without it the tests above would also pass on an empty publication.
    for who in ("bob", "operator"):
        told = client.get("/v1/shows", headers=of(keys[who])).text
        assert all(mark(show) in told for show in SHOWS["bob"])
    assert mark("bob-1") not in client.get("/v1/shows", headers=of(keys["ann"])).text
