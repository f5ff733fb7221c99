"""What the registry says of a collaboration and the published marts do not know yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from earshot.attribution.marts import lifts
from earshot.published import Published
from ingest.settings import SettingError, Settings
from registry.collaboration_days import EXPOSURE_DAYS
from serving.attribution.numbers import minute, money

if TYPE_CHECKING:  # the registry is asked only where there is one
    from registry.collaborations import Collaboration

Row = dict[str, Any]

# What happens between a command and the marts (docs/attribution.md, Record a collaboration).
WHEN_IN_MARTS = (
    "in the marts within some ten minutes while `earshot run` runs; by hand: materialize the asset "
    "`collaborations`, then the job `marts`, in Dagster"
)
_NEXT_BUILD = "the next build of the marts"
_SHOWN_IDS = 10


def why_not_there(collaboration_id: int, published: Published, settings: Settings) -> str:
    """Why the marts do not have it: it came after them, never took place, or was never recorded."""
    from registry.tables import CollaborationState

    marts = f"the marts (version {published.version} of {published.made_at})"
    found = _recorded(collaboration_id, settings)
    if found is None:  # all there is are the marts
        return f"{marts} have no collaboration {collaboration_id}{_those_there(published)}"
    if found.state is CollaborationState.VOID:
        return (
            f"collaboration {collaboration_id} was declared void: it never took place, so it brought nobody. "
            f"If that was a mistake: `earshot collaboration restore {collaboration_id}`"
        )
    return (
        f"collaboration {collaboration_id} is recorded, but {marts} were built before they could know it. "
        f"It is {WHEN_IN_MARTS}"
    )


def changes_since(lift: Row, settings: Settings) -> tuple[str, ...]:
    """What was changed of it since the marts were built, a sentence each; none where there is no registry."""
    from registry.collaborations import as_exported
    from registry.tables import CollaborationState

    found = _recorded(lift["collaboration_id"], settings)
    if found is None:
        return ()
    if found.state is CollaborationState.VOID:
        since = f" at {minute(_at(found.ended_us))}" if found.ended_us is not None else ""
        return (
            f"Declared void{since}: {_NEXT_BUILD} leaves it out. What follows was counted before "
            f"(undo: `earshot collaboration restore {found.collaboration_id}`).",
        )
    return tuple(_differences(lift, as_exported(found, settings.lake_dir)))


def void_ids(settings: Settings) -> set[int]:
    """Those that were declared void; empty where there is no registry."""
    from earshot.registry_at_hand import RegistryFailed, registry_at_hand
    from registry.collaborations import Which, listing
    from registry.tables import CollaborationState

    try:
        with registry_at_hand(settings, must_be=True) as engine:
            void = listing(engine, Which(state=CollaborationState.VOID))
            return {each.collaboration_id for each in void}
    except (RegistryFailed, SettingError):
        return set()


def _recorded(collaboration_id: int, settings: Settings) -> Collaboration | None:
    from earshot.registry_at_hand import RegistryFailed, registry_at_hand
    from registry.collaborations import UnknownCollaboration, get

    try:
        with registry_at_hand(settings, must_be=True) as engine:
            return get(engine, collaboration_id)
    except (RegistryFailed, SettingError, UnknownCollaboration):
        return None


def _differences(lift: Row, row: Row) -> Iterator[str]:
    starts_at = _at(row["starts_us"])
    ends_at = starts_at + timedelta(days=EXPOSURE_DAYS)
    if row["ends_us"] is not None:
        ends_at = min(ends_at, _at(row["ends_us"]))
    for what, now, here in (
        ("start", minute(starts_at), minute(lift["starts_at"])),
        ("end of what is measured", minute(ends_at), minute(lift["exposure_ends_at"])),
        ("cost", _price(row), _price(lift)),
    ):
        if now != here:
            yield f"Changed since: its {what} is {now}, here {here}; {_NEXT_BUILD} takes it over."


def _price(row: Row) -> str:
    return "none" if row["cost"] is None else money(row["cost"], row["currency"] or "")


def _at(us: int) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(tzinfo=None)


def _those_there(published: Published) -> str:
    ids = sorted(row["collaboration_id"] for row in lifts(published))
    if not ids:
        return ", nor any other: record them with `earshot collaboration add`"
    if len(ids) <= _SHOWN_IDS:
        return f"; there are {', '.join(map(str, ids))}"
    return f"; there are {len(ids):,}, from {ids[0]} to {ids[-1]}: `earshot attribution list`"
