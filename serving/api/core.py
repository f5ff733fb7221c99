"""What all requests of a process share: settings, publication, access; a thread keeps them current."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from registry.database import connect
from serving.api.access import AccessBook
from serving.api.marts import Marts
from serving.api.metadata.remembered import Remembered
from serving.api.settings import ApiSettings
from serving.api.signing import load_secret
from serving.metadata.catalogue import Catalogue
from serving.platform_metrics import PlatformMetrics

_OF_CATALOGUE = 4  # the part of the memory for answers that is added for those of registry and lake

log = logging.getLogger("earshot.api")


class Core:
    """Opened once a process."""

    def __init__(self, settings: ApiSettings) -> None:
        """Raises SettingError: the registry cannot be used."""
        platform = settings.platform
        self.settings = settings
        self.secret = load_secret(settings.secret, platform.data)
        self.engine: Engine = connect(platform.registry, platform.data)
        self.book = AccessBook(self.engine)
        self.marts = Marts(platform.published_dir)
        self.catalogue = Catalogue(platform, self.engine)
        self.remembered = Remembered(settings.cache_mb * 2**20 // _OF_CATALOGUE)
        self.platform = PlatformMetrics(platform, self.engine)
        self.pool = ThreadPoolExecutor(settings.threads, "earshot-query")

    def refresh(self) -> None:
        """Look for a newer publication and changed access now."""
        self.book.refresh()
        self.marts.refresh()

    @contextlib.contextmanager
    def kept_current(self) -> Iterator[None]:
        """Meanwhile a thread refreshes every `poll_s`: no request waits for a version to be opened."""
        self.refresh()  # it may have been started and stopped before
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(self.settings.poll_s):
                try:
                    self.refresh()
                except Exception:
                    log.exception(
                        "looking for changes failed; the next look is in %s s", self.settings.poll_s
                    )

        thread = threading.Thread(target=watch, name="earshot-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.pool.shutdown()
            # An application may be started once more; threads begin with the first query.
            self.pool = ThreadPoolExecutor(self.settings.threads, "earshot-query")
            self.engine.dispose()
