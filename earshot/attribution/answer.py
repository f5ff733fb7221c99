"""What the published marts of a data folder say of a collaboration, and the registry by now."""

from __future__ import annotations

from earshot.attribution.marts import rows_of
from earshot.attribution.registered import changes_since, why_not_there
from earshot.published import current
from ingest.settings import Settings
from serving.attribution.answer import explanation_of
from serving.attribution.marts import NoAttribution
from serving.attribution.model import Explanation


def explain(collaboration_id: int, settings: Settings) -> Explanation:
    """Everything the marts say of it. Raises NothingPublished, NoAttribution."""
    published = current(settings)
    rows = rows_of(published, collaboration_id)
    if rows is None:
        raise NoAttribution(why_not_there(collaboration_id, published, settings))
    return explanation_of(rows, published.version, published.made_at, changes_since(rows.lift, settings))
