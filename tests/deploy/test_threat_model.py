"""The threat model names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text("utf-8")))
    text = "\n".join(
        path.read_text("utf-8")
        for folder in ("tests", "deploy")
        for path in (ROOT / folder).rglob("test_*.py")
    )
    there = set(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))
    assert len(named) > 50 and named - there == set()


def test_links_of_the_security_pages_lead_somewhere() -> None:
    for page in ("SECURITY.md", "docs/threat-model.md"):
        for link in re.findall(r"\]\(([^)#]+\.md)[^)]*\)", (ROOT / page).read_text("utf-8")):
            assert ((ROOT / page).parent / link).exists(), (page, link)
