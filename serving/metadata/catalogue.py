"""The catalogue of podcasts as the API reads it: records, index, who may see which; opened once a process."""

from __future__ import annotations

import time

from sqlalchemy import Engine

from ingest.feeds.state import last_commit_us
from ingest.logs.prefixes import PrefixRules
from ingest.logs.rules import prefixes_in_force
from ingest.logs.urls import canonical_url
from ingest.settings import Settings
from registry.visible import VisiblePodcasts
from serving.metadata.index import index_path
from serving.metadata.latest import Latest
from serving.metadata.search import Search

_PREFIXES_S = 3600  # the list of prefixes changes a few times a month


class Catalogue:
    """Safe to share between threads."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.engine = engine
        self.lake_root = settings.lake_dir
        self.latest = Latest(settings.lake_dir)
        self.search = Search(index_path(settings))
        self.visible = VisiblePodcasts(engine)
        self._settings = settings
        self._prefixes: tuple[float, PrefixRules] | None = None

    @property
    def is_empty(self) -> bool:
        """No feed was ever read: there is nothing to find, and no index of it."""
        return last_commit_us(self.lake_root) is None

    def canonical(self, enclosure_url: str) -> str:
        """As episodes' `enclosure_urls` have it: without tokens, measuring prefixes taken off."""
        now = time.monotonic()
        if self._prefixes is None or now - self._prefixes[0] > _PREFIXES_S:
            self._prefixes = now, prefixes_in_force(self._settings)
        return canonical_url(enclosure_url, self._prefixes[1])
