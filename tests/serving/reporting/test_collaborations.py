"""Collaborations over the API: the figures of the marts, in the words of `earshot attribution`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from earshot.attribution.answer import explain
from earshot.attribution.listed import listing
from ingest.settings import Settings
from registry import show_access
from registry.show_access import Subject
from serving.api.sessions import COOKIE, Session, issue
from serving.attribution.headline import in_short
from tests.attribution.published_marts import (
    COHORT_ROWS,
    GROSS,
    GROSS_ROWS,
    LIFTS,
    OVERLAP_ROWS,
    OVERLAPS,
    POOLED,
    POOLED_ROWS,
)
from tests.serving.api.published import publish_rows
from tests.serving.reporting.conftest import Asked, asked

SHOWS = ("evil", "show-a")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Ann owns show-a, whose collaboration 1 she recorded; the others were recorded by somebody else."""
    settings = Settings(data=tmp_path_factory.mktemp("collaborations"))
    pooled = [dict(zip(POOLED, row, strict=True)) for row in POOLED_ROWS]
    publish_rows(
        settings.published_dir,
        {
            "dim_shows": [{"show_id": show, "show_title": show, "episodes": 1} for show in SHOWS],
            "fct_collaboration_lift": [{**row, "tenant": _tenant(row)} for row in LIFTS],
            "fct_collaboration_cohorts": COHORT_ROWS,
            "fct_collaboration_overlaps": [dict(zip(OVERLAPS, row, strict=True)) for row in OVERLAP_ROWS],
            "fct_attribution_gross": [dict(zip(GROSS, row, strict=True)) for row in GROSS_ROWS],
            "fct_show_lift_by_type": [
                {**row, "type": kind, "is_insufficient": False}
                for row, kind in zip(pooled, ("host_read", "guest_swap"), strict=True)
            ],
            "fct_collaboration_daily": [
                {
                    "collaboration_id": 1,
                    "date": date(2026, 6, day),
                    "exposed": day * 100,
                    "converted": day,
                    "organic": day / 2,
                    "excess": day / 2,
                }
                for day in (2, 20)
            ],
        },
    )

    def prepare(core: Any) -> None:
        show_access.withdraw(core.engine, 1, "ann", ["evil"])
        show_access.grant(core.engine, 1, "ann", ["show-a"])
        show_access.close(core.engine, 1, ["show-a"], [Subject.DOWNLOADS])

    with asked(settings, prepare) as found:
        yield found


def _tenant(row: dict[str, Any]) -> str:
    return "ann" if row["collaboration_id"] == 1 else "carol"


def test_each_is_told_as_the_command_tells_it(api: Asked) -> None:
    command = {one.collaboration_id: one for one in listing(api.aside)}
    rows = api.rows("/collaborations")
    assert [row["collaboration_id"] for row in rows] == [*command]
    for row in rows:
        told = command[row["collaboration_id"]]
        assert row["words"] == in_short(told)
        assert (row["state"], row["verdict"], row["flags"]) == (told.state, told.verdict, [*told.flags])
        assert row["new_listeners"] == (told.estimate.value if told.estimate else None)
        assert row["at_most"] == told.at_most
    first = next(row for row in rows if row["collaboration_id"] == 1)
    # Worked out by hand in tests/attribution/published_marts.py.
    assert (first["new_listeners"], first["new_listeners_low"], first["new_listeners_high"]) == (
        90,
        62.5,
        117.5,
    )


@pytest.mark.parametrize("collaboration_id", [row["collaboration_id"] for row in LIFTS])
def test_one_is_explained_as_the_command_explains_it(api: Asked, collaboration_id: int) -> None:
    told = api.get(f"/collaborations/{collaboration_id}")
    command = explain(collaboration_id, api.aside)
    assert told["headline"] == [*command.headline]
    assert told["version"] == 1 and told["rule"]["link"].endswith("#what-a-collaboration-brought")
    assert [flag["name"] for flag in told["flags"]] == [flag.name for flag in command.flags]
    if command.calculation:
        assert told["calculation"]["organic"] == pytest.approx(command.calculation.organic)
        assert len(told["strata"]) == len(command.strata)
        assert told["explanation"]["sections"]
    if collaboration_id == 1:
        assert told["calculation"]["excess"] == 45 and told["cost"]["per_new_listener"] == 2
        assert told["difference"]["gross"] == 300 and len(told["gross"]) == 16


def test_costs_are_the_tenants_that_recorded_it(api: Asked) -> None:
    rows = {row["collaboration_id"]: row for row in api.rows("/collaborations", "ann")}
    assert set(rows) == {1, 2, 3, 5, 6, 7}  # show-a's; 4 is another show's
    assert rows[1]["cost"] == 180 and "cost" not in rows[3]
    mine, theirs = api.get("/collaborations/1", "ann"), api.get("/collaborations/3", "ann")
    assert mine["cost"]["cost"] == 180 and "180" in str(mine["explanation"])
    assert "cost" not in theirs and "cost" not in theirs["collaboration"]
    assert "USD" not in str(theirs) and "tenant" not in theirs["collaboration"]
    assert "carol" not in str(api.client.get("/v1/collaborations", headers=_of(api, "ann")).text)
    # A sum that holds costs of others tells none.
    assert all("cost" not in row for row in api.rows("/collaboration-totals", "ann", by="type"))
    assert api.rows("/collaboration-totals", by="type")[0]["cost_per_new_listener"] is not None or any(
        row["cost"] for row in api.rows("/collaboration-totals", by="type")
    )


def test_a_link_to_a_show_tells_no_costs(api: Asked) -> None:
    core = api.client.app.state.core  # type: ignore[attr-defined]
    until_us = time.time_ns() // 1000 + 3_600_000_000
    link = issue(core.secret, Session(until_us, tenant="ann", show_id="show-a"))
    head = {"cookie": f"{COOKIE}={link}"}
    for path in ("collaborations", "collaboration-totals?by=type", "collaborations/1"):
        answer = api.client.get(f"/v1/{path}", headers=head)
        assert answer.status_code == 200 and answer.json().get("data") != [], answer.text
        assert '"cost"' not in answer.text and '"currency"' not in answer.text, path


def _of(api: Asked, who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {api.keys[who]}"}


def test_another_shows_collaboration_looks_unknown(api: Asked) -> None:
    refused = api.get("/collaborations/4", "ann", 404)
    assert refused == api.get("/collaborations/99", "ann", 404)
    api.get("/collaborations/1", "bob", 404)
    api.get("/collaborations/1/daily", "bob", 404)
    assert api.rows("/collaborations", "nobody") == []


def test_what_is_opened_is_told_without_the_terms(api: Asked) -> None:
    core = api.client.app.state.core  # type: ignore[attr-defined]
    show_access.open_to_all(core.engine, 2, ["show-a"], [Subject.COLLABORATIONS])
    core.refresh()
    try:
        told = api.get("/collaborations/1", "nobody")
        assert told["estimate"] == {"value": 90, "low": 62.5, "high": 117.5} and told["headline"]
        assert not {"strata", "calculation", "overlaps", "cost", "explanation", "gross"} & set(told)
        course = api.rows("/collaborations/1/daily", "nobody")
        assert [(row["converted"], row["suppressed"]) for row in course] == [(None, True), (20, False)]
        assert {row["collaboration_id"] for row in api.rows("/collaborations", "nobody")} == {
            1,
            2,
            3,
            5,
            6,
            7,
        }
        api.get("/shows/show-a/new-listener-sources", "nobody", 404)
    finally:
        show_access.close(core.engine, 3, ["show-a"], [Subject.COLLABORATIONS])
        core.refresh()


def test_a_hostile_title_stays_a_text(api: Asked) -> None:
    told = api.get("/collaborations/4")
    assert told["show"].startswith("[red]Evil|`x`") and "\x1b" in told["show"]
    csv = api.client.get("/v1/collaborations?format=csv", headers=_of(api, "operator"))
    assert csv.status_code == 200
