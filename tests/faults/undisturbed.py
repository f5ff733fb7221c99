"""Scenarios before their work, and what they come to when nobody disturbs it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults.forks import run
from tests.faults.scenario import Facts, Scenario


@dataclass(frozen=True)
class Undisturbed:
    """A scenario before its work, and what it comes to when nobody dies."""

    start: Path
    before: Facts
    after: Facts


def prepared(scenario: Scenario, folder: Path) -> Undisturbed:
    start = folder / "start"
    scenario.prepare(start / "data")
    shutil.copytree(start, folder / "whole", symlinks=True)
    data = folder / "whole" / "data"
    before = scenario.look(data) if scenario.has_before else {}
    with scenario.helpers(data) as told:
        ended = run(scenario, data, told)
        assert ended.code == 0, ended.said
    after = scenario.look(data)
    assert after != before, "the work changes nothing that is looked at"
    assert scenario.leftovers(data) == []
    return Undisturbed(start, before, after)
