"""Rotation of the prefix's log, backup and restore, killed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from earshot.backup.restore import restore
from earshot.backup.write import backup
from ingest.settings import Settings
from registry.database import connected
from serving.edge.rotate import rotate
from serving.edge.settings import EdgeSettings
from tests.faults.lake_scenarios import fill, lake_facts, settings_in, take
from tests.faults.scenario import Facts, Scenario, Told
from tests.registry.webhook_rows import endpoint


def quiet(step: str, done: int, of: int) -> None:
    pass


class Rotation(Scenario):
    """The open log, and one that an earlier rotation closed, into the landing folder; nginx is not running.

    With nginx under load: tests/serving/edge/test_rotate.py.
    """

    def _settings(self, data: Path) -> EdgeSettings:
        return EdgeSettings(platform=Settings(data=data))

    def prepare(self, data: Path) -> None:
        log = self._settings(data).log
        log.parent.mkdir(parents=True)
        (data / "landing").mkdir()
        log.write_text("".join(json.dumps({"line": n}) + "\n" for n in range(10, 20)))
        earlier = log.with_name("20260901T000000.000000Z-edge.json")
        earlier.write_text("".join(json.dumps({"line": n}) + "\n" for n in range(10)))

    def work(self, data: Path, told: Told) -> None:
        rotate(self._settings(data))

    def look(self, data: Path) -> Facts:
        landed = (data / "landing").rglob("*.json")
        return {"lines": sorted(line for path in landed for line in path.read_text().splitlines())}

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """Each line lies in one file, wherever it is on its way."""
        files = [*(data / "landing").rglob("*.json"), *self._settings(data).log.parent.glob("*.json")]
        found = sorted(line for path in files for line in path.read_text().splitlines())
        assert found == after["lines"]


class Backup(Scenario):
    """A folder of links, or a tar file, beside the data folder."""

    target = "saved"

    def prepare(self, data: Path) -> None:
        fill(settings_in(data))
        take(settings_in(data))
        with connected(None, data) as engine:
            endpoint(engine)

    def work(self, data: Path, told: Told) -> None:
        target = data.parent / self.target
        if not target.exists():  # as the timer does it: each under a name of its own
            backup(settings_in(data), target, quiet)

    def look(self, data: Path) -> Facts:
        target = data.parent / self.target
        if not target.exists():
            return {}
        with tempfile.TemporaryDirectory() as folder:
            restore(Settings(data=Path(folder) / "data"), target, Path(folder) / "data", quiet)
            return lake_facts(Path(folder) / "data")

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """There is a whole backup under its name or none; the lake is as it was."""
        assert self.look(data) in ({}, after)
        assert lake_facts(data) == after


class TarBackup(Backup):
    """As a tar file."""

    target = "saved.tar"


class Restore(Backup):
    """A new data folder of a backup."""

    def prepare(self, data: Path) -> None:
        super().prepare(data)
        super().work(data, {})

    def work(self, data: Path, told: Told) -> None:
        to = data.parent / "restored"
        if not to.exists():
            restore(Settings(data=to), data.parent / self.target, to, quiet)

    def look(self, data: Path) -> Facts:
        restored = data.parent / "restored"
        return lake_facts(restored) if restored.exists() else {}
