"""docs/operations.md and the alerts are of one mind."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.settings import PREFIX, Settings
from serving.alerts.alert import PAGE, Kind, link

TEXT = (Path(__file__).parents[3] / PAGE).read_text("utf-8")


def anchors() -> set[str]:
    """As GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_kind_has_its_section_and_each_link_leads_there() -> None:
    for kind in Kind:
        assert link(kind, None, "https://dagster.example.com") == f"{PAGE}, section {kind}"
        assert link(kind, None, None, "https://x.example/docs") == f"https://x.example/{PAGE}#{kind}"
        assert kind.value in anchors()


def test_a_run_is_linked_where_dagster_is_known() -> None:
    assert (
        link(Kind.RUN_FAILED, "r1", "https://dagster.example.com/") == "https://dagster.example.com/runs/r1"
    )
    assert link(Kind.RUN_FAILED, "r1", None) == f"{PAGE}, section run_failed"


def test_every_setting_of_alerts_is_documented() -> None:
    table = TEXT[TEXT.index("| variable |") : TEXT.index("## Alerts, and")]
    said = set(re.findall(r"`(?:EARSHOT_ALERT|…)_(\w+)`", table))
    named = {
        name.removeprefix("alert_").upper() for name in Settings.model_fields if name.startswith("alert_")
    }
    assert said == named
    assert f"`{PREFIX}DAGSTER_URL`" in table and f"`{PREFIX}DOCS_URL`" in table
