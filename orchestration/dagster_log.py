"""Dagster's processes log in our format: theirs is coloured for terminals, and has four kinds of lines."""

from __future__ import annotations

import logging
import sys

from ingest.own_log import formatter, set_up
from ingest.settings import Settings


def take_over() -> None:
    """In this process and its forks; before Dagster's commands set their own up."""
    import dagster._loggers
    from dagster._cli import api
    from dagster._daemon import controller

    settings = Settings.from_env()

    def configure(
        handler: str = "default", formatter: str = "colored", log_level: str | int = "INFO"
    ) -> None:
        set_up(settings)

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
    dagster._loggers.create_console_logger = of_a_run  # type: ignore[attr-defined]
    set_up(settings)


def take_over_webserver() -> None:
    """Beside `take_over`, in the webserver's process alone: only it imports that."""
    from dagster_webserver import cli

    settings = Settings.from_env()

    def configure(
        handler: str = "default", formatter: str = "colored", log_level: str | int = "INFO"
    ) -> None:
        set_up(settings)

    cli.configure_loggers = configure  # type: ignore[attr-defined]
