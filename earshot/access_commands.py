"""`earshot access`: whose a show is, and what of it anybody may see."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from earshot.commands import Output
from earshot.registry_at_hand import registry_at_hand
from ingest.settings import Settings

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine

    from registry.show_access import Subject

    Change = Callable[[Engine, int, Collection[str], Collection[Subject]], int]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Whose a show is, and what of it anybody may see through the API and the pages.",
)

ALL_SUBJECTS = "all"

Shows = Annotated[list[str], typer.Argument(metavar="SHOW…", help="show ids; '*': all", show_default=False)]
Tenant = Annotated[str, typer.Argument(metavar="TENANT", show_default=False)]
Subjects = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        help=f"downloads, audience, pacing, collaborations, or {ALL_SUBJECTS}; may be repeated",
        show_default=False,
    ),
]


@app.command()
def grant(tenant: Tenant, shows: Shows) -> None:
    """Make shows the tenant's: its keys see all of them."""
    from ingest.lake import utc_now_us
    from registry.registration import BadRegistration, checked_name
    from registry.show_access import BadShowId
    from registry.show_access import grant as granting

    settings = Settings.from_env()
    try:
        with registry_at_hand(settings) as engine:
            done = granting(engine, utc_now_us(), checked_name("tenant", tenant), shows)
    except (BadRegistration, BadShowId) as error:
        raise typer.BadParameter(str(error)) from None
    _warn_of_unknown(settings, shows)
    _said("granted", done, len(shows), f"to {tenant}", "was the tenant's already")


@app.command()
def withdraw(tenant: Tenant, shows: Shows) -> None:
    """They are no longer the tenant's."""
    from ingest.lake import utc_now_us
    from registry.show_access import BadShowId
    from registry.show_access import withdraw as withdrawing

    try:
        with registry_at_hand(Settings.from_env()) as engine:
            done = withdrawing(engine, utc_now_us(), tenant, shows)
    except BadShowId as error:
        raise typer.BadParameter(str(error)) from None
    _said("withdrawn", done, len(shows), f"from {tenant}", "was not the tenant's")


@app.command("open")
def opening(shows: Shows, subjects: Subjects = None) -> None:
    """Let anybody see these subjects, without a key; counts under 10 listeners stay hidden."""
    from registry.show_access import Subject, open_to_all

    if not subjects:
        allowed = ", ".join(Subject)
        raise typer.BadParameter(f"say what: {allowed}, or {ALL_SUBJECTS}", param_hint="--subject")
    _change_openings(open_to_all, "opened", shows, subjects, "open already")
    _warn_of_unknown(Settings.from_env(), shows)


@app.command()
def close(shows: Shows, subjects: Subjects = None) -> None:
    """Only who owns them sees these subjects again; without --subject all."""
    from registry.show_access import close as closing

    _change_openings(closing, "closed", shows, subjects, "not open")


@app.command()
def link(
    tenant: Tenant,
    show: Annotated[str, typer.Argument(metavar="SHOW", help="its show id", show_default=False)],
    days: Annotated[int, typer.Option(min=1, max=366, help="for how long it opens the show")] = 30,
    base: Annotated[
        str, typer.Option("--base", metavar="URL", help="where the pages are served")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Print a link that shows one show of the tenant's to whoever has it, without a key.

    It ends after its days, and at once where the show is withdrawn from the tenant.
    """
    from earshot.show import say
    from earshot.times import shown
    from ingest.lake import utc_now_us
    from registry.show_access import ALL_SHOWS, owners
    from serving.api.sessions import Session, issue
    from serving.api.settings import ApiSettings
    from serving.api.signing import load_secret

    settings = ApiSettings.from_env()
    with registry_at_hand(settings.platform) as engine, engine.connect() as connection:
        theirs = {owner.show_id for owner in owners(connection) if owner.tenant == tenant}
    if show == ALL_SHOWS or not theirs & {show, ALL_SHOWS}:
        raise typer.BadParameter(
            f"{show} is no show of {tenant}'s: `earshot access grant {tenant} {show}` makes it one",
            param_hint="SHOW",
        )
    until_us = utc_now_us() + days * 86_400_000_000
    secret = load_secret(settings.secret, settings.platform.data)
    print(f"{base.rstrip('/')}/link/{issue(secret, Session(until_us, tenant=tenant, show_id=show))}")
    say(Console(stderr=True), "made", f"a link to {show}, good until {shown(until_us)}", "green")


@app.command("list")
def listing(output: Output = "table") -> None:
    """Which shows are whose, and what is open."""
    from earshot.show import print_rows
    from earshot.times import shown
    from registry.show_access import openings, owners

    with registry_at_hand(Settings.from_env()) as engine, engine.connect() as connection:
        rows = [
            {"show": each.show_id, "owner": each.tenant, "open": None, "since": shown(each.since_us)}
            for each in owners(connection)
        ]
        rows += [
            {"show": each.show_id, "owner": None, "open": str(each.subject), "since": shown(each.since_us)}
            for each in openings(connection)
        ]
    rows.sort(key=lambda row: (row["show"], row["owner"] or "~", row["open"] or ""))
    print_rows(rows, ["show", "owner", "open", "since"], output)


def _change_openings(
    change: Change, done: str, shows: list[str], names: list[str] | None, otherwise: str
) -> None:
    from ingest.lake import utc_now_us
    from registry.show_access import BadShowId, Subject

    try:
        is_all = not names or ALL_SUBJECTS in names
        subjects = list(Subject) if is_all else [Subject(name) for name in names or ()]
    except ValueError:
        allowed = ", ".join((*Subject, ALL_SUBJECTS))
        raise typer.BadParameter(f"a subject is one of {allowed}", param_hint="--subject") from None
    try:
        with registry_at_hand(Settings.from_env()) as engine:
            changed = change(engine, utc_now_us(), shows, subjects)
    except BadShowId as error:
        raise typer.BadParameter(str(error)) from None
    _said(done, changed, len(shows) * len(subjects), ", ".join(subjects), otherwise)


def _warn_of_unknown(settings: Settings, shows: Collection[str]) -> None:
    """Tell of show ids that the published marts do not know: perhaps mistyped, perhaps of shows to come."""
    import duckdb

    from earshot.pipeline import reading
    from earshot.published import NothingPublished, current
    from earshot.show import say
    from registry.show_access import ALL_SHOWS

    try:
        with reading(current(settings).database) as con:
            known = {show_id for (show_id,) in con.execute("select show_id from dim_shows").fetchall()}
    except (NothingPublished, duckdb.Error):  # nothing to compare with; it is done all the same
        return
    for show in dict.fromkeys(shows):
        if show != ALL_SHOWS and show not in known:
            message = f"dim_shows has no show {show} yet: if it is mistyped, withdraw or close it"
            say(Console(stderr=True), "warning", message, "yellow")


def _said(done: str, changed: int, asked: int, what: str, otherwise: str) -> None:
    from earshot.show import say

    rest = f"; {asked - changed} {otherwise}" if changed < asked else ""
    say(Console(stderr=True), done, f"{changed} {what}{rest}", "green")
