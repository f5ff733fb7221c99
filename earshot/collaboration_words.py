"""What the commands of collaborations share: shows by name, what is refused, what is recorded twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from ingest.settings import PREFIX, Settings

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine

    from registry.collaboration_values import BadCollaboration
    from registry.collaborations import Collaboration


def key_of(engine: Engine, settings: Settings, what: str, option: str) -> int:
    """The podcast_key of the show that is named in `option`. Raises typer.BadParameter."""
    from registry.named import HOW, Names

    names = Names(engine, settings.lake_dir)
    found = names.meant(what)
    if len(found) == 1:
        return found[0].podcast_key
    if found:
        told = f"means several podcasts; name one: {names.told(found)}"
    else:
        alike = names.alike(what)
        hint = f"; alike are {', '.join(alike)}" if alike else ""
        told = f"is no tracked show{hint}. Name one by {HOW}"
    raise typer.BadParameter(f"{what!r} {told}", param_hint=option)


def titles_of(settings: Settings, found: Sequence[Collaboration]) -> dict[int, str]:
    """podcast_key → title, of all shows of these collaborations."""
    from registry.named import titles

    keys = {key for each in found for key in (each.podcast_key, each.partner_key)}
    return titles(settings.lake_dir, keys)


def twins_told(
    twins: Sequence[tuple[Collaboration, Collaboration]], titles: dict[int, str]
) -> Iterator[tuple[int, str]]:
    """The id of a collaboration, and what another one has that makes them one exposure."""
    for each, other in twins:
        show = titles.get(other.podcast_key, other.feed_url)
        partner = titles.get(other.partner_key, other.partner_url)
        where = "this episode" if other.partner_guid is not None else f"all of {partner} in these days"
        yield (
            each.collaboration_id,
            f"collaboration {other.collaboration_id} already has {show} in {where} ({other.type}): what each "
            "brings cannot be told apart. Where one is a mistake: `earshot collaboration end "
            f"{each.collaboration_id} --void`",
        )


def refuse(error: BadCollaboration) -> NoReturn:
    """What was typed cannot be: the argument, option or setting is named."""
    arguments = {"show": "SHOW", "partner": "PARTNER", "keep_days": f"{PREFIX}KEEP_DAYS"}
    hint = arguments.get(error.field, f"--{error.field}")
    raise typer.BadParameter(f"{error.problem}: {error.reason}", param_hint=hint) from None
