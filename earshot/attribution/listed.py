"""All collaborations in short, and those of one show, however it is named."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from earshot.attribution.marts import lifts
from earshot.attribution.registered import void_ids
from earshot.published import current
from ingest.settings import SettingError, Settings
from serving.attribution.answer import listed_of
from serving.attribution.marts import NoAttribution
from serving.attribution.model import Listed

Row = dict[str, Any]


def listing(settings: Settings, show: str | None = None) -> list[Listed]:
    """All of them, the newest first; of show A only, by any of its names. Raises as explain does."""
    found = lifts(current(settings))
    of_show: dict[str | None, list[Row]] = defaultdict(list)
    for row in found:
        if row["is_split"]:  # only of those another one's row matters
            of_show[row["show_id"]].append(row)
    void = void_ids(settings) if found else set()
    wanted = found if show is None else of_this(found, show, settings)
    return [listed_of(row, of_show[row["show_id"]], void) for row in wanted]


def of_this(found: Sequence[Row], show: str, settings: Settings) -> list[Row]:
    """Rows with a show_id of the show: its title or show_id as in the marts, else as the registry knows it.

    Raises NoAttribution where no row is its, and where a title is that of several shows.
    """
    said = _folded(show)
    by_id = [row for row in found if row["show_id"] == show.strip()]
    by_title = [row for row in found if _folded(row["show_title"] or "") == said]
    ids = {row["show_id"] for row in by_title}
    if not by_id and len(ids) > 1:
        raise NoAttribution(
            f"{show!r} is the title of several shows; name one by its show_id: "
            f"{', '.join(sorted(str(one) for one in ids))}"
        )
    rows = by_id or by_title or _by_registry(found, show, settings)
    if rows or not found:
        return rows
    names = sorted({str(row[name]) for row in found for name in ("show_id", "show_title") if row[name]})
    alike = difflib.get_close_matches(show, names, 3)
    hint = f"; alike are {', '.join(alike)}" if alike else ""
    raise NoAttribution(
        f"no collaboration of a show {show!r} is in the marts{hint}. Name a show by its title, show_id, feed "
        "URL, podcast key or guid; `earshot attribution list` has all"
    )


def _by_registry(found: Sequence[Row], show: str, settings: Settings) -> list[Row]:
    """By a feed's URL, a key or a guid: the collaborations that are recorded of it."""
    from earshot.registry_at_hand import RegistryFailed, registry_at_hand
    from registry.collaborations import Which
    from registry.collaborations import listing as recorded
    from registry.named import Names

    try:
        with registry_at_hand(settings, must_be=True) as engine:
            podcasts = Names(engine, settings.lake_dir).meant(show)
            ids = {
                each.collaboration_id
                for podcast in podcasts
                for each in recorded(engine, Which(podcast_key=podcast.podcast_key))
            }
    except (RegistryFailed, SettingError):
        return []
    show_ids = {podcast.show_id for podcast in podcasts if podcast.show_id}
    # The marts of another tenant or time may have ones that the registry does not record any more.
    return [row for row in found if row["collaboration_id"] in ids or row["show_id"] in show_ids]


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
