"""docs/feeds.md says all that there is, in its tables and its example."""

from __future__ import annotations

import re
import tomllib
from enum import StrEnum
from pathlib import Path

import pytest

from ingest.feeds.reasons import Reason
from ingest.feeds.schema import Tier
from ingest.feeds.sources.calls import SourceReason
from ingest.feeds.sources.notices import NoticeReject
from ingest.feeds.sources.settings import FeedSources
from registry.findings import FindingReason

TEXT = (Path(__file__).parents[4] / "docs" / "feeds.md").read_text()
_CODE = re.compile(r"`([a-z0-9_]+)`")
_UNITS = {"min": 60, "h": 3600, "days": 86_400}


def table(heading: str) -> list[list[str]]:
    """The cells of the first table after `heading`, without its head."""
    lines = TEXT.partition(f"{heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("## Why a poll brought nothing", Reason),
        ("### Notice files", NoticeReject),
        ("### Why a source gave nothing", SourceReason),
        ("### What directories say otherwise", FindingReason),
        ("## Tiers and what they promise", Tier),
    ],
)
def test_every_code_stands_in_its_table_with_its_meaning(heading: str, codes: type[StrEnum]) -> None:
    rows = table(heading)
    assert [row[0].strip("`") for row in rows] == [str(code) for code in codes]
    assert all(len(row) >= 2 and all(row) for row in rows)


def test_every_source_and_setting_is_described() -> None:
    described = {code for row in table("## Sources beside polling") for code in _CODE.findall(row[0])}
    assert described == set(FeedSources.model_fields)
    settings: set[tuple[str, str]] = set()
    sources: list[str] = []
    for first, names, _ in table("### Switching them on"):
        sources = sorted(described) if first == "all" else _CODE.findall(first) or sources
        settings |= {(source, name) for source in sources for name in _CODE.findall(names)}
    models = {name: getattr(FeedSources(), name) for name in FeedSources.model_fields}
    assert settings == {(name, key) for name, model in models.items() for key in type(model).model_fields}


def test_the_example_can_be_used_as_it_stands() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    sources = FeedSources.parse(tomllib.loads(example))
    assert sources.apple.on and sources.podcastindex.on and sources.websub.callback


def test_the_promises_are_those_that_are_kept() -> None:
    schedule = pytest.importorskip("ingest.feeds.schedule")
    for tier, promise, _ in table("## Tiers and what they promise"):
        seconds = schedule.PROMISE_S.get(Tier(tier.strip("`")))
        if seconds is None:
            assert promise == "never"
        else:
            number, unit = promise.split()
            assert int(number) * _UNITS[unit] == seconds
