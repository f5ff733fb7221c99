"""`earshot methodology`: the statement of a data folder."""

from __future__ import annotations

from earshot.pipeline import reading
from earshot.published import NothingPublished, current
from ingest.settings import Settings
from serving.methodology.statement import statement as stated
from serving.reports.asking import Basis, OverConnection


def statement(settings: Settings) -> str:
    """As Markdown. Raises SettingError, ReferenceListError."""
    try:
        published = current(settings)
    except NothingPublished:
        return stated(settings, None)
    basis = Basis(published.version, published.made_at, published.window, settings.time_zone)
    with reading(published.database) as con:
        return stated(settings, (OverConnection(con), basis))
