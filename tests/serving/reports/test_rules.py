"""Which rule stands behind a figure."""

from __future__ import annotations

import re
from pathlib import Path

from serving.pages.view.parts import EXCLUSION
from serving.reasons import REASONS
from serving.reports.rules import EXCLUSIONS, RULES

DOCS = Path(__file__).parents[3] / "docs"


def test_exclusions_name_the_rules_of_their_reasons() -> None:
    named: set[int] = set()
    for first, last in re.findall(r"R(\d+)(?:–R(\d+))?", EXCLUSIONS.id):
        named |= set(range(int(first), int(last or first) + 1))
    borne = {int(number) for one in REASONS.values() for number in re.findall(r"R(\d+)", one.rule)}
    assert named == borne
    assert EXCLUSION.name == EXCLUSIONS.id


def test_the_page_of_the_reports_has_every_rule_with_a_heading_of_the_methodology() -> None:
    page, statement = (DOCS / name for name in ("reporting.md", "methodology.md"))
    for rule in RULES:
        rows = [line for line in page.read_text().splitlines() if line.startswith(f"| {rule.id} | ")]
        assert any(line.endswith(f"(methodology.md#{rule.anchor}) |") for line in rows), rule.id
        heads = re.findall(r"^## (.+)$", statement.read_text(), re.M)
        anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert rule.anchor in anchors
