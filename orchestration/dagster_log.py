"""Dagster's processes log in our format: theirs is coloured for terminals, and has four kinds of lines.

What tells nobody anything is left out, unless EARSHOT_LOG_LEVEL is `debug`: sensors that looked and found
nothing, a queue that waits (a line or two a look), checks of models that an incremental build leaves out
(thirty a build).
"""

from __future__ import annotations

import logging
import re
import sys

from ingest.own_log import formatter, set_up
from ingest.settings import Settings

_LOOKED_IN_VAIN = re.compile(
    r"Checking for new runs for sensor: |Sensor \S+ skipped: |Priority sorting and checking |"
    r"\d+ runs are currently in progress|Collected \d+ runs for monitoring|Checking run "
)


def take_over() -> None:
    """In this process and its forks; before Dagster's commands set their own up."""
    import dagster._loggers
    from dagster._cli import api
    from dagster._core.definitions import instigation_logger
    from dagster._daemon import controller

    settings = Settings.from_env()

    def configure(
        handler: str = "default", formatter: str = "colored", log_level: str | int = "INFO"
    ) -> None:
        _set_up(settings)

    def of_a_run(name: str, level: str | int) -> logging.Logger:
        """What a run tells beside its event log, where each event is kept anyway."""
        logger = logging.getLoggerClass()(name)
        logger.setLevel(settings.log_level.upper())
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(formatter(settings))
        logger.addHandler(handler)
        return logger

    for module in (api, controller):
        module.configure_loggers = configure  # type: ignore[attr-defined]
    for module in (dagster._loggers, instigation_logger):  # of runs; of sensors and schedules
        module.create_console_logger = of_a_run  # type: ignore[attr-defined]
    _set_up(settings)


def take_over_webserver() -> None:
    """Beside `take_over`, in the webserver's process alone: only it imports that."""
    from dagster_webserver import cli

    settings = Settings.from_env()

    def configure(
        handler: str = "default", formatter: str = "colored", log_level: str | int = "INFO"
    ) -> None:
        _set_up(settings)

    cli.configure_loggers = configure  # type: ignore[attr-defined]


def tells_something(record: logging.LogRecord) -> bool:
    """False of lines that come all the time whatever happens, and of those a run tells a second time."""
    if record.levelno > logging.WARNING:
        return True
    said = record.getMessage()
    if record.name.startswith("dagster.daemon."):
        return not _LOOKED_IN_VAIN.match(said)
    if record.name == "dagster._core.execution.plan.active":
        return "emitted no result in step" not in said
    if record.name == "py.warnings":
        return "BetaWarning" not in said  # of what we use on purpose, in a pinned version
    return record.name != "dagster.builtin"  # the run's own logger has it, too


def _set_up(settings: Settings) -> None:
    set_up(settings)
    if settings.log_level != "debug":
        for handler in logging.getLogger().handlers:
            handler.addFilter(tells_something)
