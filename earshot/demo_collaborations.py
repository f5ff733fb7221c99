"""The demo's collaborations: recorded as anybody would; what they brought, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

from rich.console import Console

from earshot.attribution.listed import listing
from earshot.made_up.collaborations import Collaboration
from earshot.pipeline import reading
from earshot.show import plain
from ingest.lake import utc_now_us
from ingest.settings import Settings
from registry.aired import ground
from registry.collaborating import Written, wish
from registry.collaborations import add, export_collaborations
from registry.database import connected
from serving.attribution.headline import COVERAGE, in_short
from serving.attribution.model import Listed, Verdict
from serving.attribution.numbers import listeners


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
                currency="EUR",
            )
            for each in wanted
        ]
        add(engine, [wish(each, known)[0] for each in written], now_us)
    export_collaborations(settings)


def are_measured(settings: Settings, downloads: int) -> bool:
    """Whether the published marts measured them when they had all of that many downloads.

    Only whole builds make attribution, as they do fct_show_dimensions, whose sum tells what they have seen.
    """
    with reading(settings.published_dir / "current" / "marts.duckdb") as con:
        row = con.execute(
            "select sum(downloads) from fct_show_dimensions where period = 'month' and dimension = 'app'"
        ).fetchone()
    return row is not None and (row[0] or 0) >= downloads


def show(screen: Console, settings: Settings, truth: Sequence[Collaboration]) -> None:
    """What each brought by the published marts, its interval, and the truth."""
    true = {(each.show, each.partner): each.caused for each in truth}
    screen.print("New listeners by collaborations, without those who would have come anyway:", soft_wrap=True)
    for each in sorted(listing(settings), key=lambda listed: listed.collaboration_id):
        caused = true.get((each.show, each.partner))
        told = "" if caused is None else f"; truth {caused}"
        screen.print(plain(f"{_line(each)}{told}"), soft_wrap=True)
    screen.print(
        "How each comes about: earshot attribution explain ID  (earshot attribution list has the IDs)"
    )


def _line(of: Listed) -> str:
    """`Show 3 in Show 7 (guest swap): about 61 new listeners (90 %: 41 to 80)`."""
    what = f"{of.show} in {of.partner} ({of.type.replace('_', ' ')})"
    if of.estimate is None:
        return f"{what}: {in_short(of)}"
    value, low, high = map(listeners, astuple(of.estimate))
    number = f"about {value} new listeners ({COVERAGE}: {low} to {high})"
    doubt = ", perhaps none" if of.verdict is Verdict.CANNOT_TELL else ""
    return f"{what}: {number}{doubt}"
