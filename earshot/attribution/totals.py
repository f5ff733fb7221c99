"""What the collaborations of a show brought together, asked of a data folder."""

from __future__ import annotations

from earshot.attribution.listed import of_this
from earshot.attribution.marts import lifts, pooled
from earshot.published import current
from ingest.settings import Settings
from serving.attribution.marts import NoAttribution
from serving.attribution.totals import MARTS, By, Total, total_of


def totals(settings: Settings, by: By, show: str | None = None) -> list[Total]:
    """By show and what is asked for. Raises NothingPublished, NoAttribution."""
    published = current(settings)
    mart, column = MARTS[by]
    singles = lifts(published)
    titles = {row["show_id"]: row["show_title"] for row in singles}
    titles |= {row["partner_show_id"]: row["partner_show_title"] for row in singles}
    found = pooled(published, mart, column)
    if show is not None:
        show_ids = {row["show_id"] for row in of_this(singles, show, settings)}
        found = [row for row in found if row["show_id"] in show_ids]
        if singles and not found:
            raise NoAttribution(f"no collaboration of {show!r} has a figure yet: `earshot attribution list`")
    rows = [total_of(row, column, titles) for row in found]
    return sorted(rows, key=lambda one: (one.show, one.group))
