"""How Earshot's own processes log: one format for all of them, as text or as a JSON object a line.

    2026-11-30T10:33:20.123Z WARNING earshot.api: version 7 cannot be read

As JSON: `ts`, `level`, `logger`, `process`, `message`, and `error` with the traceback of an unexpected one.
On standard error, for journald or a container's log to keep. No message of ours names a listener's address.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from ingest.settings import Settings


class TextFormat(logging.Formatter):
    """`<instant> <LEVEL> <logger>: <message>`; a traceback follows in lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return instant(record)


class JsonFormat(logging.Formatter):
    """One object, one line, whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "ts": instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def instant(record: logging.LogRecord) -> str:
    """UTC, milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def form(settings: Settings) -> type[TextFormat] | type[JsonFormat]:
    return JsonFormat if settings.log_format == "json" else TextFormat


def formatter(settings: Settings) -> logging.Formatter:
    return form(settings)()


def set_up(settings: Settings) -> None:
    """For a process of ours: everything that is logged in it goes to standard error in our format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # of libraries only what is amiss
    for name in OURS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)


# Loggers that say what we, and Dagster for us, are doing.
OURS = (
    "earshot",
    "ingest",
    "serving",
    "registry",
    "orchestration",
    "dagster",
    "dagster-webserver",
    "_granian",
)
