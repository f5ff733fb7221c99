"""What assets and sensors are given: settings and lake, read when a run starts, not when code is imported."""

from __future__ import annotations

import dagster as dg

from ingest.lake import Lake
from ingest.settings import Settings


class Installation(dg.ConfigurableResource[None]):
    """This installation: its settings from EARSHOT_* and its lake."""

    def settings(self) -> Settings:
        """The settings as the environment has them now. Raises SettingError."""
        return Settings.from_env()

    def lake(self) -> Lake:
        """The lake, with its folders and empty tables in place."""
        return Lake(self.settings().lake_dir)
