"""The simulated clock: a small file that a test or the demo writes and the server of the feeds reads.

It stands still (speed 0) or runs: `speed` simulated seconds a real second. Instants: epoch microseconds.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def set_clock(path: Path, at_us: int, speed: float = 0) -> None:
    """From now on it is `at_us`. The file is replaced as a whole."""
    text = json.dumps({"at_us": at_us, "speed": speed, "since_s": time.time()})
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


class SimulatedClock:
    """Reads the file again only when it has been replaced."""

    def __init__(self, path: Path) -> None:
        self._path, self._version = path, (0, 0)
        self._at_us, self._speed, self._since_s = 0, 0.0, 0.0

    def now_us(self) -> int:
        """The simulated instant."""
        stat = self._path.stat()
        version = (stat.st_ino, stat.st_mtime_ns)
        if version != self._version:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            self._at_us, self._speed, self._since_s = said["at_us"], said["speed"], said["since_s"]
            self._version = version
        if not self._speed:
            return self._at_us
        return self._at_us + int((time.time() - self._since_s) * self._speed * 1_000_000)
