"""What a scenario is: work that may be killed anywhere, and what must be equal after it was done again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.durable import ABANDONED_S, clear_unfinished

Facts = dict[str, object]  # by name: rows in a fixed order, or anything that compares
Told = Mapping[str, Any]  # what a helper of the test process tells the work: ports


@dataclass(frozen=True)
class Scenario:
    """Of one part of the platform. Methods get the data folder; all but `work` run in the test process."""

    name: str
    has_before: bool = True  # facts can be looked at before the work, too

    def prepare(self, data: Path) -> None:
        """Make what is there before the work begins; copied for each kill."""

    @contextlib.contextmanager
    def helpers(self, data: Path) -> Iterator[dict[str, Any]]:
        """What must run beside it: a feed, a receiver."""
        yield {}

    def work(self, data: Path, told: Told) -> None:
        """The work, as the platform does it again after a crash: in a process of its own."""
        raise NotImplementedError

    def look(self, data: Path) -> Facts:
        """What must be the same as after an undisturbed run."""
        raise NotImplementedError

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """What whoever reads finds between the kill and the next run: of each fact the old or the new."""
        for name, found in self.look(data).items():
            assert found in (before.get(name), after[name]), f"{name}: neither as before nor as after"

    def leftovers(self, data: Path) -> list[str]:
        """Files in the making that the next run, and the nightly maintenance, have left behind."""
        clear_unfinished(data, time.time() + 2 * ABANDONED_S)
        return unfinished(data)


def unfinished(data: Path) -> list[str]:
    """What lies there that is nobody's: temporary files and folders, by path."""
    signs = (".tmp", ".packing", ".restoring", ".in-the-making")
    return sorted(
        path.relative_to(data.parent).as_posix()
        for path in data.parent.rglob("*")
        if path.name.endswith(signs)
        or path.name.startswith((".new-", ".prepared-", ".commit-", ".backup-in-the-making"))
        or path.name in (".compaction", "spill")
    )
