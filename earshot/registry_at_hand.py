"""The registry of this installation, for the length of a command; what fails is told plainly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.settings import Settings

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine


class RegistryFailed(RuntimeError):
    """The registry could not do what was asked; the message says why."""


@contextlib.contextmanager
def registry_at_hand(settings: Settings, must_be: bool = False) -> Iterator[Engine]:
    from registry.database import FILE_NAME, connected

    if must_be and not settings.registry and not (settings.data / FILE_NAME).exists():
        raise RegistryFailed(f"nothing is registered in {settings.data}: earshot register URL")
    with registry_failures_told(), connected(settings.registry, settings.data) as engine:
        yield engine


@contextlib.contextmanager
def registry_failures_told() -> Iterator[None]:
    """What the database raises becomes a RegistryFailed."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:  # its first line: the others quote the statement, which is ours and no help
        reason = str(error.orig).strip().partition("\n")[0]
        raise RegistryFailed(f"the registry failed: {reason}") from error
