"""The commands of the registry: register, deregister, list, status."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from earshot.commands import Output
from earshot.exit_codes import FAILED, PARTLY
from earshot.registry_at_hand import registry_at_hand
from earshot.registry_input import Refused, given, told
from ingest.settings import Settings
from registry.registration import DEFAULT_TENANT

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine

    from ingest.feeds.schema import Record
    from registry.findings import Finding
    from registry.podcasts import Filter, Podcast

SHOWN_PODCASTS = 50  # a terminal's worth
_PAGE = 1000  # podcasts read at a time

Tenant = Annotated[str, typer.Option(help="who tracks them")]
Urls = Annotated[
    list[str] | None, typer.Argument(metavar="[URL]...", help="URLs of feeds", show_default=False)
]
Opml = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="OPML: outlines with xmlUrl", show_default=False)
]
Csv = Annotated[
    list[Path] | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="header url[,tenant,labels,show_id,itunes_id,podcastindex_id,guid,since]",
        show_default=False,
    ),
]
Lines = Annotated[
    list[Path] | None, typer.Option("--list", metavar="FILE", help="a URL a line", show_default=False)
]
Rejects = Annotated[
    Path | None, typer.Option(metavar="FILE", help="CSV of all that was refused", show_default=False)
]
State = Literal["active", "gone", "dead", "deregistered", "all"]


def add_to(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    signed = {"ignore_unknown_options": True}  # half of the keys begin with a minus
    app.command()(register)
    app.command(context_settings=signed)(deregister)
    app.command("list")(list_podcasts)
    app.command(context_settings=signed)(status)


def register(
    urls: Urls = None,
    opml: Opml = None,
    csv_files: Csv = None,
    lines: Lines = None,
    tenant: Tenant = DEFAULT_TENANT,
    label: Annotated[
        list[str] | None, typer.Option(help="such as customer or lead; may be repeated", show_default=False)
    ] = None,
    rejects: Rejects = None,
    output: Output = "table",
) -> None:
    """Track podcasts: from then on they are polled. The same again changes nothing; labels add up."""
    from earshot.show import bars, print_rows, say
    from ingest.lake import utc_now_us
    from registry.podcasts import register as registering

    labels = label or []
    _check_names(tenant, labels)
    screen = Console(stderr=True)
    with told(rejects) as refused:
        wanted = given(urls, opml, csv_files, lines, tenant, labels, refused)
        with registry_at_hand(Settings.from_env()) as engine, bars(screen) as progress:
            task = progress.add_task("registered", total=None)
            done = registering(engine, wanted, utc_now_us(), lambda n: progress.update(task, completed=n))
    print_rows([asdict(done)], list(asdict(done)), output)
    if output == "table" and done.podcasts + done.returned:
        then = "`earshot run` or `earshot sweep` polls them; `earshot status URL` tells of one"
        say(screen, "next", then, "bold")
    refused.end(screen, done.registrations + done.known)


def deregister(
    podcasts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[URL|KEY|GUID]...", help="URLs, keys or guids", show_default=False),
    ] = None,
    opml: Opml = None,
    csv_files: Csv = None,
    lines: Lines = None,
    tenant: Tenant = DEFAULT_TENANT,
    reason: Annotated[
        str | None, typer.Option(help="kept with a podcast nobody tracks any more", show_default=False)
    ] = None,
    rejects: Rejects = None,
    output: Output = "table",
) -> None:
    """Cease to track podcasts. One that no tenant is left of is no longer polled; its history stays."""
    from earshot.show import bars, print_rows, say
    from ingest.feeds.urls import podcast_key
    from registry.podcasts import NOBODY_LEFT, Deregistered
    from registry.podcasts import deregister as deregistering

    _check_names(tenant, [])
    screen = Console(stderr=True)
    done = Deregistered()
    with told(rejects) as refused, registry_at_hand(Settings.from_env(), must_be=True) as engine:
        by_tenant: dict[str, list[int]] = {}
        for wish in given(None, opml, csv_files, lines, tenant, (), refused, bool(podcasts)):
            by_tenant.setdefault(wish.tenant, []).append(podcast_key(wish.url))
        by_tenant.setdefault(tenant, []).extend(_keys(engine, podcasts or [], refused))
        with bars(screen) as progress:
            for of_tenant, keys in by_tenant.items():
                task = progress.add_task(of_tenant, total=len(keys))
                tell = partial(_tell, progress, task)
                why = reason or NOBODY_LEFT
                done += deregistering(engine, keys, of_tenant, why, tell)
    print_rows([asdict(done)], list(asdict(done)), output)
    if done.not_tracked:
        others = "" if len(by_tenant) > 1 else f" by {tenant}"
        say(screen, "note", f"{done.not_tracked:,} of them are not tracked{others}: nothing to do", "yellow")
    refused.end(screen, done.registrations)


def list_podcasts(
    tenant: Annotated[str | None, typer.Option(help="tracked by it", show_default=False)] = None,
    label: Annotated[str | None, typer.Option(help="with this label", show_default=False)] = None,
    state: Annotated[
        State | None, typer.Option(help="default: all but the deregistered", show_default=False)
    ] = None,
    host: Annotated[str | None, typer.Option(help="fetched from it", show_default=False)] = None,
    after: Annotated[
        int | None, typer.Option(metavar="KEY", help="those behind this key", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="in a table 50, else all", show_default=False)
    ] = None,
    output: Output = "table",
) -> None:
    """The podcasts tracked, by key."""
    from earshot.show import say
    from earshot.show_registry import LISTED, listed, print_json, print_podcasts
    from registry.named import titles
    from registry.podcasts import Filter
    from registry.tables import PodcastState

    in_state = PodcastState(state) if state and state != "all" else None
    which = Filter(tenant, label, in_state, _host(host) if host else None, with_deregistered=state == "all")
    limit = limit or (SHOWN_PODCASTS if output == "table" else None)
    settings = Settings.from_env()
    with registry_at_hand(settings, must_be=True) as engine:
        found = _pages(engine, which, after, limit)
        if output == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(LISTED)
            writer.writerows(listed(podcast, "|".join).values() for podcast in found)
        elif output == "json":
            print_json(listed(podcast, list) for podcast in found)
        else:
            page = list(found)
            if not page:
                say(Console(stderr=True), "note", "no podcast is like that", "yellow")
                return
            print_podcasts(page, titles(settings.lake_dir, [podcast.podcast_key for podcast in page]))
            if len(page) == limit:
                more = f"there may be more: --after {page[-1].podcast_key}, or --output csv"
                say(Console(stderr=True), "note", more, "yellow")


def status(
    podcasts: Annotated[
        list[str],
        typer.Argument(
            metavar="SHOW...", help="title, show_id, feed URL, key, guid or directory id", show_default=False
        ),
    ],
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
) -> None:
    """What is known of podcasts: who tracks them, when they were and will be polled, and why then."""
    from earshot.podcast_status import explained, status_of
    from earshot.show import say
    from earshot.show_registry import print_json, print_status
    from ingest.feeds.state import find as crawl_state
    from ingest.lake import utc_now_us
    from registry.findings import of_podcast
    from registry.named import Names

    settings, screen = Settings.from_env(), Console(stderr=True)
    found: list[tuple[Podcast, Record | None, list[Finding]]] = []
    missing: list[str] = []
    with registry_at_hand(settings, must_be=True) as engine:
        names = Names(engine, settings.lake_dir)
        for what in podcasts:
            known = names.meant(what)
            missing += [] if known else [what]
            shown = known if output == "json" else known[:SHOWN_PODCASTS]
            if len(shown) < len(known):
                more = f"{what} means {len(known):,} podcasts, of which {len(shown)} are shown: --output json"
                say(screen, "note", more, "yellow")
            for podcast in shown:
                key = podcast.podcast_key
                found.append((podcast, crawl_state(settings.lake_dir, key), of_podcast(engine, key)))
    now_us = utc_now_us()
    if output == "json":
        print_json(
            {
                "explanation": explained(podcast, state, now_us),
                **asdict(podcast),
                "crawl": state,
                "findings": [asdict(each) for each in findings],
            }
            for podcast, state, findings in found
        )
    else:
        for number, (podcast, state, findings) in enumerate(found):
            if number:
                print()
            print_status(status_of(podcast, state, now_us, findings))
    for what in missing:
        say(screen, "not tracked", what or "'' names nothing", "red")
    if missing:
        raise typer.Exit(PARTLY if found else FAILED)


def _tell(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def _keys(engine: Engine, podcasts: list[str], refused: Refused) -> Iterator[int]:
    from registry.podcasts import find
    from registry.registration import Reject, RejectReason

    for what in podcasts:
        found = find(engine, what)
        if len(found) == 1:
            yield found[0].podcast_key
        elif found:
            keys = ", ".join(str(podcast.podcast_key) for podcast in found)
            refused.take(Reject(what, 0, RejectReason.BAD_VALUE, f"means several podcasts; name one: {keys}"))
        else:
            refused.take(Reject(what, 0, RejectReason.NOT_TRACKED, "no such podcast is tracked"))


def _host(text: str) -> str:
    """As it stands in a feed's URL. Raises typer.BadParameter."""
    from ingest.feeds.urls import BadFeedUrl, feed_url, host_of

    try:
        url = feed_url(f"https://{text}/")
    except BadFeedUrl:
        url = ""
    if url.count("/") != 3 or host_of(url) != url[len("https://") : -1].strip("[]"):
        raise typer.BadParameter(
            f"{text!r} is no host such as feeds.example.com: without https://, port and path",
            param_hint="--host",
        )
    return url[len("https://") : -1]


def _check_names(tenant: str, labels: Iterable[str]) -> None:
    from registry.registration import BadRegistration, checked_name

    for option, name in (("tenant", tenant), *(("label", label) for label in labels)):
        try:
            checked_name(option, name)
        except BadRegistration as error:
            raise typer.BadParameter(str(error), param_hint=f"--{option}") from None


def _pages(engine: Engine, which: Filter, after: int | None, limit: int | None) -> Iterator[Podcast]:
    from registry.podcasts import listing

    while limit is None or limit > 0:
        page = listing(engine, which, after, min(_PAGE, limit or _PAGE))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].podcast_key
        limit = None if limit is None else limit - len(page)
