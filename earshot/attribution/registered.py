"""Why the marts do not have a collaboration: it came after them, never took place, or was never recorded."""

from __future__ import annotations

from earshot.attribution.marts import WHOLE_BUILD, lifts
from earshot.published import Published
from ingest.settings import SettingError, Settings

_SHOWN_IDS = 10


def why_not_there(collaboration_id: int, published: Published, settings: Settings) -> str:
    """One sentence for people; the registry is asked where there is one."""
    from earshot.registry_at_hand import RegistryFailed, registry_at_hand
    from registry.collaborations import UnknownCollaboration, get
    from registry.tables import CollaborationState

    marts = f"the marts (version {published.version} of {published.made_at})"
    try:
        with registry_at_hand(settings, must_be=True) as engine:
            recorded = get(engine, collaboration_id)
    except (RegistryFailed, SettingError, UnknownCollaboration):  # all there is are the marts
        return f"{marts} have no collaboration {collaboration_id}{_those_there(published)}"
    if recorded.state is CollaborationState.VOID:
        return (
            f"collaboration {collaboration_id} was declared void: it never took place, so it brought nobody"
        )
    return (
        f"collaboration {collaboration_id} is recorded, but {marts} were built before they could know it. "
        f"It comes with the next whole build ({WHOLE_BUILD})"
    )


def _those_there(published: Published) -> str:
    ids = sorted(row["collaboration_id"] for row in lifts(published))
    if not ids:
        return ", nor any other: record them with `earshot collaboration add`"
    if len(ids) <= _SHOWN_IDS:
        return f"; there are {', '.join(map(str, ids))}"
    return f"; there are {len(ids):,}, from {ids[0]} to {ids[-1]}: `earshot attribution list`"
