"""Collaborations over HTTP: between shows one tracks, recorded once, and only ever one's own."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from ingest.feeds.urls import podcast_key
from registry import show_access
from registry.podcasts import register
from registry.registration import registration
from serving.api.core import Core
from tests.serving.api.conftest import NOW_US
from tests.serving.api.management.conftest import Call, fields
from tests.serving.metadata.lake import commit, lake, podcast

RECORDS = "/v1/collaboration-records"
A, B, BOBS = (f"https://feeds.example/{name}.xml" for name in ("a", "b", "bobs"))


@pytest.fixture
def engine(core: Core) -> Engine:
    """Ann tracks A and B, Bob a podcast of his own, all of them read."""
    root = lake(core.settings.platform.lake_dir)
    for url, title in ((A, "Tide Tables"), (B, "Night Bus"), (BOBS, "Bobs Secret")):
        commit(root, podcast_key(url), podcasts=[podcast(podcast_key(url), title)])
    wanted = [registration(A, "ann", guid="guid-a"), registration(B, "ann"), registration(BOBS, "bob")]
    register(core.engine, wanted, NOW_US)
    return core.engine


def wanted(**more: Any) -> dict[str, Any]:
    return {"show": "Tide Tables", "partner": B, "type": "guest_swap", "starts": "2026-10-01", **more}


def test_a_collaboration_is_recorded_once_and_changed_where_more_is_known(call: Call, engine: Engine) -> None:
    made = call("ann", "POST", RECORDS, 201, json=wanted())
    assert (made["outcome"], made["title"], made["partner_title"]) == ("added", "Tide Tables", "Night Bus")
    assert made["starts_at"] == "2026-10-01T00:00:00.000000Z"
    again = call("ann", "POST", RECORDS, 200, json=wanted(show="guid-a"))
    assert (again["outcome"], again["collaboration_id"]) == ("known", made["collaboration_id"])
    more = call("ann", "POST", RECORDS, 200, json=wanted(cost=250, currency="EUR"))
    assert (more["outcome"], more["cost"]) == ("changed", 250.0)
    assert len(call("ann", "GET", RECORDS)["data"]) == 1
    actions = [row["action"] for row in call("ann", "GET", "/v1/audit")["data"]]
    assert actions.count("collaborations.recorded") == 2


def test_it_is_ended_voided_and_restored(call: Call, engine: Engine) -> None:
    number = call("ann", "POST", RECORDS, 201, json=wanted())["collaboration_id"]
    path = f"{RECORDS}/{number}"
    early = call("ann", "POST", f"{path}/end", 409, json={"at": "2026-09-01T00:00:00Z"})
    assert fields(early) == ["at"]
    assert call("ann", "POST", f"{path}/end", json={"at": "2026-10-05T00:00:00Z"})["state"] == "ended"
    assert call("ann", "POST", f"{path}/end", json={"void": True})["state"] == "void"
    assert call("ann", "GET", RECORDS)["data"] == []
    assert len(call("ann", "GET", f"{RECORDS}?state=void")["data"]) == 1
    assert call("ann", "POST", f"{path}/restore")["state"] == "active"
    call("ann", "POST", f"{path}/restore", 409)


def test_a_file_is_taken_in_line_by_line(call: Call, engine: Engine) -> None:
    csv = (
        "show,partner,type,starts,tenant\n"
        f"{A},{B},promo_swap,2026-10-01,\n"
        f"{A},{B},no_such,2026-10-01,\n"
        f"{A},{BOBS},promo_swap,2026-10-01,\n"
        f"{B},{A},promo_swap,2026-10-01,bob\n"
    )
    done = call("ann", "POST", RECORDS, 201, content=csv, headers={"content-type": "text/csv"})
    assert (done["added"], done["rejected"]) == (1, 3)
    assert [(one["line"], one["reason"]) for one in done["rejects"]] == [
        (3, "bad_value"),
        (4, "unknown_show"),
        (5, "bad_value"),
    ]
    assert call("bob", "GET", RECORDS)["data"] == []


def test_shows_of_another_tenant_are_unknown_whatever_they_are_called(call: Call, engine: Engine) -> None:
    names = ["Bobs Secret", BOBS, str(podcast_key(BOBS)), "Bobs Secre", "no such"]
    for name in names:
        problem = call("ann", "POST", RECORDS, 422, json=wanted(partner=name))
        assert fields(problem) == ["partner"]
        assert "Bobs Secret" not in str(problem).replace(name, "")
    call("ann", "GET", f"{RECORDS}?show={podcast_key(BOBS)}", 404)


def test_another_tenants_collaborations_are_not_there(call: Call, engine: Engine) -> None:
    number = call("ann", "POST", RECORDS, 201, json=wanted())["collaboration_id"]
    for method, tail, body in (("GET", "", None), ("POST", "/end", {}), ("POST", "/restore", None)):
        foreign = call("bob", method, f"{RECORDS}/{number}{tail}", 404, json=body)
        assert foreign == call("bob", method, f"{RECORDS}/98765{tail}", 404, json=body)
    assert call("ann", "GET", f"{RECORDS}/{number}")["state"] == "active"


def test_pages_have_each_once(call: Call, engine: Engine) -> None:
    for day in range(1, 6):
        call("ann", "POST", RECORDS, 201, json=wanted(starts=f"2026-10-0{day}"))
    found, cursor = [], ""
    while True:
        page = call("ann", "GET", f"{RECORDS}?limit=2{cursor}")
        found += [row["starts_at"][:10] for row in page["data"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == [f"2026-10-0{day}" for day in range(1, 6)]


def test_what_cannot_be_is_named(call: Call, engine: Engine) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"type": "friendship"}, "type"),
        ({"partner": A}, "partner"),
        ({"starts": "2026-13-01"}, "starts"),
        ({"ends": "2026-09-01"}, "ends"),
        ({"starts": ""}, "episode"),
        ({"episode": "no-such"}, "episode"),
        ({"cost": "-5", "currency": "EUR"}, "cost"),
        ({"cost": "5"}, "currency"),
        ({"cost": "5", "currency": "XYZ"}, "currency"),
        ({"notes": "a\0b"}, "notes"),
        ({"show": ""}, "show"),
        ({"colour": "red"}, "colour"),
    ]
    for body, field in wrong:
        assert fields(call("ann", "POST", RECORDS, 422, json=wanted(**body))) == [field], body


def test_a_show_that_is_another_tenants_cannot_be_said_to_grow(
    call: Call, core: Core, engine: Engine
) -> None:
    theirs, unowned, mine = (f"https://feeds.example/{name}.xml" for name in ("of-ann", "open", "of-bob"))
    register(core.engine, [registration(theirs, "ann", show_id="ann-1")], NOW_US)
    register(core.engine, [registration(unowned, "house", show_id="open-1")], NOW_US)
    register(core.engine, [registration(mine, "house", show_id="bob-1")], NOW_US)
    register(core.engine, [registration(url, "bob") for url in (theirs, unowned, mine)], NOW_US)
    for show in (theirs, unowned):  # of open-1 there are figures, which nobody owns
        said = wanted(show=show, partner=BOBS)
        problem = call("bob", "POST", RECORDS, 422, json=said)
        assert fields(problem) == ["show"] and "none of your shows" in problem["detail"]
        csv = f"show,partner,type,starts\n{show},{BOBS},promo_swap,2026-10-01\n"
        refused = call("bob", "POST", RECORDS, 422, content=csv, headers={"content-type": "text/csv"})
        assert fields(refused) == ["line 2"] and "none of your shows" in refused["detail"]
    call("bob", "POST", RECORDS, 201, json=wanted(show=mine, partner=theirs))
    call("bob", "POST", RECORDS, 201, json=wanted(show=BOBS, partner=theirs))  # tracked by him, no show yet
    call("ann", "POST", RECORDS, 201, json=wanted(show=theirs, partner=A))
    call("operator", "POST", f"{RECORDS}?tenant=bob", 201, json=wanted(show=theirs, partner=BOBS))


def test_a_show_that_became_another_tenants_gets_no_collaboration_back(
    call: Call, core: Core, engine: Engine
) -> None:
    url = "https://feeds.example/moved-on.xml"
    register(core.engine, [registration(url, "house", show_id="bob-1")], NOW_US)
    register(core.engine, [registration(one, "bob") for one in (url, A)], NOW_US)
    number = call("bob", "POST", RECORDS, 201, json=wanted(show=url, partner=A))["collaboration_id"]
    call("bob", "POST", f"{RECORDS}/{number}/end", json={"void": True})
    show_access.withdraw(core.engine, NOW_US, "bob", ["bob-1"])
    show_access.grant(core.engine, NOW_US, "ann", ["bob-1"])
    core.refresh()
    problem = call("bob", "POST", f"{RECORDS}/{number}/restore", 409)
    assert "none of your shows" in problem["detail"]
    assert call("bob", "GET", f"{RECORDS}/{number}")["state"] == "void"
    call("ann", "POST", f"{RECORDS}/{number}/restore", 404)
    show_access.grant(core.engine, NOW_US, "bob", ["bob-1"])
    core.refresh()
    assert call("bob", "POST", f"{RECORDS}/{number}/restore")["state"] == "active"
