"""`earshot collaboration`: who appeared in whose episodes, recorded for attribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from earshot.collaboration_words import key_of, refuse, titles_of, twins_told
from earshot.commands import Output
from earshot.registry_at_hand import registry_at_hand
from ingest.settings import Settings
from registry.registration import DEFAULT_TENANT

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine

    from earshot.registry_input import Refused
    from registry.collaborating import CollaborationWish, Ground
    from registry.collaborations import Collaboration, Outcome

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Who appeared in whose episodes, for attribution: what did it bring?",
)

_SIGNED = {"ignore_unknown_options": True}  # half of the keys begin with a minus
_BATCH = 500  # recorded in one transaction
_SHOWN_NOTES = 20

Id = Annotated[int, typer.Argument(metavar="ID", help="of the collaboration", show_default=False)]
Tenant = Annotated[str, typer.Option(help="whose collaboration")]
Show = Annotated[
    str,
    typer.Argument(
        metavar="SHOW", help="A, which is to grow: title, show_id, feed URL, key or guid", show_default=False
    ),
]
Partner = Annotated[
    str,
    typer.Argument(
        metavar="PARTNER", help="B, whose listeners hear of A; named likewise", show_default=False
    ),
]
State = Literal["active", "ended", "void", "all"]


def _option(help_text: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help_text, metavar=metavar, show_default=False)


@app.command(context_settings=_SIGNED)
def add(
    show: Show,
    partner: Partner,
    kind: Annotated[
        str,
        typer.Option(
            "--type", help="guest_swap, promo_swap, feed_drop, host_read or other", show_default=False
        ),
    ],
    episode: Annotated[str, _option("of the partner; without it all of its episodes", "GUID")] = "",
    starts: Annotated[str, _option("when it was put in; default: when the episode aired", "TIME")] = "",
    ends: Annotated[str, _option("planned end, a date inclusive; 14 days at most are measured", "TIME")] = "",
    cost: Annotated[str, _option("what show A paid", "AMOUNT")] = "",
    currency: Annotated[str, _option("of the cost, ISO 4217", "EUR")] = "",
    notes: Annotated[str, _option("for people")] = "",
    tenant: Tenant = DEFAULT_TENANT,
    output: Output = "table",
) -> None:
    """Record that SHOW appears in, or is promoted by, PARTNER. Times are UTC unless they say otherwise.

    The same again changes nothing; another end, cost or note is taken over. Several may run at a time, also
    in both directions.
    """
    from earshot.attribution.registered import WHEN_IN_MARTS
    from earshot.show import say
    from earshot.show_collaborations import described, show_added
    from ingest.lake import utc_now_us
    from registry.aired import ground
    from registry.collaborating import Written, wish
    from registry.collaboration_doubles import doubles
    from registry.collaboration_values import BadCollaboration
    from registry.collaborations import add as adding

    if currency.strip() and not cost.strip():
        raise typer.BadParameter(
            f"{currency} without a cost: say --cost too, or neither", param_hint="--cost"
        )
    settings, screen, now_us = Settings.from_env(), Console(stderr=True), utc_now_us()
    said = Written(show, partner, kind, episode, starts, ends, cost, currency, notes, tenant)
    with registry_at_hand(settings, must_be=True) as engine:
        try:
            wanted, remarks = wish(said, ground(engine, settings, now_us))
            ((added, outcome),) = adding(engine, [wanted], now_us)
        except BadCollaboration as error:
            refuse(error)
        twins = doubles(engine, [added])
    titles = titles_of(settings, [added])
    show_added(described(added, titles) | {"outcome": outcome}, output)
    for remark in (*remarks, *(told for _, told in twins_told(twins, titles))):
        say(screen, "note", remark, "yellow")
    if output == "table":
        then = f"`earshot attribution explain {added.collaboration_id}`"
        say(screen, "next", f"{WHEN_IN_MARTS}. Then {then}", "bold")


@app.command("import")
def import_csv(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="CSV",
            help="header show,partner,type[,episode,starts,ends,cost,currency,notes,tenant]",
            show_default=False,
        ),
    ],
    tenant: Tenant = DEFAULT_TENANT,
    rejects: Annotated[Path | None, _option("CSV of all that was refused", "FILE")] = None,
    output: Output = "table",
) -> None:
    """Record the collaborations of a file. What is refused is told with its line; the others are taken in."""
    from earshot.attribution.registered import WHEN_IN_MARTS
    from earshot.registry_input import told
    from earshot.show import print_rows, say
    from ingest.lake import utc_now_us
    from registry.aired import ground
    from registry.batches import batches
    from registry.collaborating import check_retention
    from registry.collaboration_doubles import doubles
    from registry.collaboration_values import BadCollaboration
    from registry.collaborations import Outcome

    if not file.is_file():
        what = "is a folder: name its files" if file.is_dir() else "no such file"
        raise typer.BadParameter(f"{what}: {file}", param_hint="CSV")
    settings, screen, now_us = Settings.from_env(), Console(stderr=True), utc_now_us()
    try:
        check_retention(settings.keep_days)  # once, not at each line
    except BadCollaboration as error:
        refuse(error)
    done: Counter[Outcome] = Counter()
    remarks: dict[str, int] = {}
    with told(rejects) as refused, registry_at_hand(settings, must_be=True) as engine:
        read = _read(file, ground(engine, settings, now_us), tenant, refused, remarks)
        for some in batches(read, _BATCH):
            added = _recorded(engine, some, now_us, file, refused)
            done.update(outcome for _, outcome in added)
            new = [each for each, outcome in added if outcome is Outcome.ADDED]
            for number, twin in twins_told(doubles(engine, new), titles_of(settings, new)):
                remarks.setdefault(f"collaboration {number}: {twin}", 0)
    row = {str(outcome): done[outcome] for outcome in Outcome}
    print_rows([row], list(row), output)
    for remark, line in list(remarks.items())[:_SHOWN_NOTES]:
        say(screen, f"{file.name}:{line}" if line else "note", remark, "yellow")
    if len(remarks) > _SHOWN_NOTES:
        say(screen, "note", f"and {len(remarks) - _SHOWN_NOTES:,} more such notes", "yellow")
    if not (done or refused.reasons or refused.files):
        say(screen, "note", f"{file.name} has no lines below its header: nothing to record", "yellow")
    if done[Outcome.ADDED] + done[Outcome.CHANGED] and output == "table":
        say(screen, "next", f"{WHEN_IN_MARTS}. Then `earshot attribution list`", "bold")
    refused.end(screen, done.total())


@app.command("list")
def list_collaborations(
    tenant: Annotated[str | None, _option("only its own")] = None,
    show: Annotated[str | None, _option("of this show A", "SHOW")] = None,
    partner: Annotated[str | None, _option("with this show B", "SHOW")] = None,
    state: Annotated[State | None, _option("default: all but the void")] = None,
    output: Output = "table",
) -> None:
    """The collaborations recorded, by start."""
    from earshot.show import say
    from earshot.show_collaborations import show_collaborations
    from registry.collaborations import Which, listing
    from registry.tables import CollaborationState

    settings = Settings.from_env()
    with registry_at_hand(settings, must_be=True) as engine:
        which = Which(
            tenant,
            None if show is None else key_of(engine, settings, show, "--show"),
            None if partner is None else key_of(engine, settings, partner, "--partner"),
            CollaborationState(state) if state and state != "all" else None,
            with_void=state == "all",
        )
        found = listing(engine, which)
    if not found and output == "table":
        say(Console(stderr=True), "note", "there is none: `earshot collaboration add SHOW PARTNER`", "yellow")
        return
    show_collaborations(found, titles_of(settings, found), output)


@app.command("show")
def show_one(collaboration_id: Id, output: Output = "table") -> None:
    """All of one collaboration, with what is known of its episode by now."""
    from earshot.show import say
    from earshot.show_collaborations import described, show_details
    from ingest.lake import Lake
    from registry.aired import aired
    from registry.collaborations import get

    settings = Settings.from_env()
    with registry_at_hand(settings, must_be=True) as engine:
        found = get(engine, collaboration_id)
    key, guid = found.partner_key, found.partner_guid
    episodes = {} if guid is None else aired(Lake(settings.lake_dir).root, [key], [guid])
    known = episodes.get(key, {}).get(guid or "")
    show_details(described(found, titles_of(settings, [found])), known, output)
    if guid is not None and known is None and output == "table":
        why = "does not have it" if key in episodes else "was never read yet"
        say(Console(stderr=True), "note", f"the episode is not known: {found.partner_url} {why}", "yellow")


@app.command()
def end(
    collaboration_id: Id,
    at: Annotated[str, _option("when it was stopped; default: now", "TIME")] = "",
    void: Annotated[
        bool, typer.Option("--void", help="it never took place: left out of attribution")
    ] = False,
    output: Output = "table",
) -> None:
    """Say that a collaboration was stopped; or, with --void, that it never took place."""
    from earshot.show import print_rows
    from earshot.times import instant_us, shown
    from ingest.lake import utc_now_us
    from registry.collaborations import CannotEnd
    from registry.collaborations import end as ending

    now_us = utc_now_us()
    at_us = instant_us(at, "--at", now_us) if at else now_us
    with registry_at_hand(Settings.from_env(), must_be=True) as engine:
        try:
            ended = ending(engine, collaboration_id, at_us, now_us, void)
        except CannotEnd as error:
            raise typer.BadParameter(str(error), param_hint="--at") from None
    row = {"id": str(collaboration_id), "state": str(ended.state), "ended": shown(ended.ended_us)}
    print_rows([row], list(row), output)


@app.command()
def restore(collaboration_id: Id, output: Output = "table") -> None:
    """Undo `end --void`: it counts again, as if it had never been ended."""
    from earshot.show import print_rows, say
    from registry.collaborations import CannotRestore
    from registry.collaborations import restore as restoring

    with registry_at_hand(Settings.from_env(), must_be=True) as engine:
        try:
            found = restoring(engine, collaboration_id)
        except CannotRestore as error:
            raise typer.BadParameter(str(error), param_hint="ID") from None
    row = {"id": str(collaboration_id), "state": str(found.state)}
    print_rows([row], list(row), output)
    if output == "table":
        stopped = (
            f"if it was stopped early, say it again: `earshot collaboration end {collaboration_id} --at TIME`"
        )
        say(Console(stderr=True), "next", stopped, "bold")


def _recorded(
    engine: Engine, some: Sequence[CollaborationWish], now_us: int, file: Path, refused: Refused
) -> list[tuple[Collaboration, Outcome]]:
    """All of a batch; where one of them is one too many, those that are not."""
    from registry.collaboration_values import BadCollaboration
    from registry.collaborations import add
    from registry.registration import Reject

    try:
        return add(engine, some, now_us)
    except BadCollaboration as error:
        if len(some) > 1:
            return [each for one in some for each in _recorded(engine, [one], now_us, file, refused)]
        refused.take(Reject(file.name, 0, error.problem, str(error)))
        return []


def _read(
    file: Path, ground: Ground, tenant: str, refused: Refused, remarks: dict[str, int]
) -> Iterator[CollaborationWish]:
    """The good lines; the others go to `refused`, what is to be known of the good ones to `remarks`."""
    from registry.collaboration_lists import read_collaborations
    from registry.csv_lines import ListError
    from registry.registration import Reject

    try:
        for each in read_collaborations(file, ground, tenant):
            if isinstance(each, Reject):
                refused.take(each)
                continue
            line, wanted, notes = each
            for note in notes:
                remarks.setdefault(note, line)
            yield wanted
    except ListError as error:
        refused.files.append(str(error))
