"""The demo's collaborations: recorded as anybody would; what they brought, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from attribution.parameters import DEFAULTS
from earshot.made_up.collaborations import Collaboration
from earshot.pipeline import reading
from earshot.show import plain
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.aired import ground
from registry.collaborating import Written, wish
from registry.collaborations import add, export_collaborations
from registry.database import connected

_CURRENCY = "EUR"


def record(settings: Settings, wanted: Sequence[Collaboration], feeds: Mapping[str, str]) -> None:
    """Into the registry, and for the marts; again changes nothing. feeds: show_id → where it is polled."""
    now_us = utc_now_us()
    with connected(settings.registry, settings.data) as engine:
        known = ground(engine, settings, now_us)
        written = [
            Written(
                feeds[each.show_id],
                feeds[each.partner_show_id],
                each.type,
                each.partner_guid,
                cost=each.cost,
                currency=_CURRENCY,
            )
            for each in wanted
        ]
        add(engine, [wish(each, known)[0] for each in written], now_us)
    export_collaborations(settings)


def are_measured(settings: Settings, downloads: int) -> bool:
    """Whether the published marts have measured them with all of that many downloads.

    Only whole builds make attribution, as they do fct_show_dimensions, whose sum tells what they have seen.
    """
    with reading(settings.published_dir / "current" / "marts.duckdb") as con:
        row = con.execute(
            "select sum(downloads) from fct_show_dimensions where period = 'month' and dimension = 'app'"
        ).fetchone()
        return row is not None and row[0] == downloads and bool(_lifts(con))


def show(screen: Console, settings: Settings, truth: Sequence[Collaboration]) -> None:
    """What each brought by the published marts, its interval, and the truth."""
    true = {(each.show_id, each.partner_show_id): each.caused for each in truth}
    with reading(settings.published_dir / "current" / "marts.duckdb") as con:
        lifts = _lifts(con)
    screen.print("What collaborations brought, listeners who would have come anyway left out:")
    for lift in lifts:
        caused = true.get((lift["show_id"], lift["partner_show_id"]))
        told = "" if caused is None else f"; truth {caused}"
        screen.print(plain(f"  {_line(lift)}{told}"), soft_wrap=True)
    screen.print("Ask why one: earshot attribution explain ID", soft_wrap=True)


def _lifts(con: Any) -> list[dict[str, Any]]:
    found = con.execute(
        """
        select
            collaboration_id, show_id, show_title, partner_show_id, partner_show_title, type, state,
            new_listeners, new_listeners_low, new_listeners_high, is_insufficient, at_most, gross_last_touch
        from fct_collaboration_lift order by collaboration_id
        """
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _line(lift: Mapping[str, Any]) -> str:
    """`1  Show 3 in Show 7 (guest swap): about 61 new listeners (90 %: 41 to 80); by last touch 140`."""
    kind = lift["type"].replace("_", " ")
    what = f"{lift['collaboration_id']}  {lift['show_title']} in {lift['partner_show_title']} ({kind})"
    if lift["is_insufficient"] and lift["at_most"] is not None:
        return f"{what}: fewer than {lift['at_most']:.0f} new listeners, too few to say more"
    if lift["new_listeners"] is None:
        return f"{what}: {lift['state'].replace('_', ' ')}"
    low, high = lift["new_listeners_low"], lift["new_listeners_high"]
    interval = f"{DEFAULTS.coverage * 100:.0f} %: {low:.0f} to {high:.0f}"
    doubt = ", which may be none" if low <= 0 <= high else ""
    return f"{what}: about {lift['new_listeners']:.0f} new listeners ({interval}){doubt}"
