"""`earshot demo`: a made-up world through the whole platform, with or without servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from earshot import demo_collaborations
from earshot.demo_edge import through_nginx
from earshot.demo_feeds import DemoFeeds, feeds_of
from earshot.demo_webhooks import WHEN
from earshot.made_up import collaborations as histories
from earshot.made_up import world as worlds
from earshot.pipeline import build_marts, reading, totals
from earshot.show import bars, plain
from ingest.catalog import take_in_catalog
from ingest.durable import write_atomically
from ingest.installation import identity
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.rules import prefixes_in_force
from ingest.settings import PREFIX, Settings
from orchestration.instance import prepare_home
from orchestration.postgres import prepare_database
from registry.owned import claim
from serving.edge.server import EdgeError
from serving.postgres import marts_database
from serving.publish import publish

PATIENCE_S = 600  # without any progress; a build of the marts takes seconds
TOP_SHOWS = 10


class DemoFailed(RuntimeError):
    """The demo could not reach its end; the message says what to do."""


def once(settings: Settings, spec: worlds.WorldSpec, screen: Console) -> None:
    """World → lake → marts → published in this process; the last line of output has the totals."""
    began = time.monotonic()
    with bars(screen) as progress:
        truth = _make_world(settings, spec, progress)
    with feeds_of(settings, spec) as feeds:
        _fill(feeds, truth, screen)
        feeds.sweep_now()
        feeds.show(screen, is_over=True)
    with bars(screen) as progress:
        lake = Lake(settings.lake_dir)
        catalog = sorted((settings.landing_dir / "catalog").glob("*.csv"))
        take_in_catalog(catalog, lake, prefixes_in_force(settings))
        files = find_landing_files(settings.model_copy(update={"settle_s": 0}))
        reading_files = progress.add_task("taking in log files", total=len(files))
        take_in(
            files,
            settings,
            lake,
            progress=lambda done, of, _: progress.update(reading_files, completed=done, total=of),
        )
        building = progress.add_task("building the marts", total=1)
        build_marts(settings)
        publication = publish(
            settings.warehouse,
            settings.published_dir,
            settings.keep_versions,
            window=settings.window.value,
            postgres=marts_database(settings),
            lake=settings.lake_dir,
        )
        progress.update(building, completed=1)
    _show(screen, settings, truth)
    demo_collaborations.show(screen, settings, truth.collaborations)
    total = totals(settings, publication.database)
    print(
        f"requests={total.requests} downloads={total.downloads} listeners={total.listeners}"
        f" rejects={total.rejects} seconds={time.monotonic() - began:.1f}"
    )


def serve(settings: Settings, spec: worlds.WorldSpec, port: int, screen: Console) -> None:
    """The same through Dagster's sensors, with its UI on `port`, until interrupted. Raises DemoFailed."""
    _check_port(port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else Dagster would outlive us
    with bars(screen) as progress:
        truth = _make_world(settings, spec, progress)
    log = settings.data.resolve() / "dagster" / "dev.log"
    with feeds_of(settings, spec) as feeds:
        _fill(feeds, truth, screen)
        _serve(feeds, truth, port, log, screen)


def _fill(feeds: DemoFeeds, truth: Truth, screen: Console) -> None:
    with bars(screen) as progress:
        playing = progress.add_task("polling the podcasts of nine days", total=None)
        feeds.play(truth.collaborations, lambda done, of: progress.update(playing, completed=done, total=of))


def _serve(feeds: DemoFeeds, truth: Truth, port: int, log: Path, screen: Console) -> None:
    settings = feeds.settings
    with running_dagster(settings, port, log) as server:
        screen.print(f"Dagster is starting; its output goes to {log}")
        with bars(screen) as progress:
            _wait_for_marts(feeds, truth, server, log, progress)
        _show(screen, settings, truth)
        feeds.show(screen)
        screen.print(f"\nDagster's UI     [bold]http://127.0.0.1:{port}[/]  (asset graph: /asset-groups)")
        screen.print(f"Published marts  {settings.published_dir.resolve() / 'current' / 'marts.duckdb'}")
        screen.print(f"Drop log files   {settings.landing_dir.resolve()}/<source>/  and watch them count")
        screen.print("Ask about one    earshot status URL   (earshot list has their URLs)")
        screen.print("Collaborations   earshot attribution list; earshot attribution explain 1")
        screen.print(f"Who is told      earshot subscriptions; earshot deliveries  (subscribed {WHEN})")
        screen.print("Ctrl-C ends the demo; the data stays.")
        screen.print(
            "What collaborations brought is told by the next whole build, once nothing new came for minutes.",
            soft_wrap=True,
        )
        screen.print(f"\nChanges as they are found and told ({feeds.next_poll()}):")
        is_told = False
        with contextlib.suppress(KeyboardInterrupt):
            # In short waits: Polars' signal handler makes one long wait deaf to Ctrl-C.
            while server.poll() is None:
                if not is_told and demo_collaborations.are_measured(settings, sum(truth.downloads.values())):
                    demo_collaborations.show(screen, settings, truth.collaborations)
                    is_told = True
                for line in feeds.follow():
                    screen.print(plain(line), soft_wrap=True)
                time.sleep(1)
        if is_told:  # once more: what was told since has carried it off the screen
            demo_collaborations.show(screen, settings, truth.collaborations)
    feeds.show(screen, is_over=True)


# --- the world


@dataclass(frozen=True)
class Truth:
    """What the marts are held against."""

    downloads: dict[str, int]  # by source class, under the published window
    collaborations: list[histories.Collaboration]


def _make_world(settings: Settings, spec: worlds.WorldSpec, progress: Progress) -> Truth:
    """Write the world's files into landing, once for a data folder; returns its truth."""
    folder = settings.data / "world"
    wanted = json.loads(json.dumps(asdict(spec) | {"history": histories.PLANNED}, default=str))
    made = folder / "made.json"
    if made.exists():
        known = json.loads(made.read_text())
        if known["spec"] != wanted:
            raise DemoFailed(
                f"{settings.data} holds another demo world ({known['spec']['lines']:,} lines);"
                f" give --data-dir another folder, or remove this one"
            )
        return _truth(known, settings)
    building = progress.add_task("making a world of podcasts", total=None)
    world = worlds.build(spec, lambda done, of: progress.update(building, completed=done, total=of))
    writing = progress.add_task("writing its log files", total=None)
    settings.landing_dir.mkdir(parents=True, exist_ok=True)
    worlds.write_catalog(world, settings.landing_dir / "catalog" / "episodes.csv")
    worlds.write(
        world,
        settings.landing_dir,
        lambda done, of: progress.update(writing, completed=done, total=of),
    )
    worlds.write_truth(world, folder)
    progress.console.print(_sent_through_nginx(world, settings))
    remembering = progress.add_task("writing half a year before it", total=None)
    history = histories.build(spec.start, spec.days)
    histories.write(
        history,
        settings.landing_dir,
        lambda done, of: progress.update(remembering, completed=done, total=of),
    )
    downloads = {
        window: {
            worlds.SERVER_LOG: world.truth.total(worlds.SERVER_LOG, window) + len(history.requests),
            worlds.PREFIX: world.truth.total(worlds.PREFIX, window),
        }
        for window in worlds.WINDOWS
    }
    told = {
        "spec": wanted,
        "downloads": downloads,
        "collaborations": [asdict(each) for each in history.collaborations],
    }
    # Last: a demo that was interrupted before this writes the same files again.
    write_atomically(made, json.dumps(told).encode())
    return _truth(told, settings)


def _sent_through_nginx(world: worlds.World, settings: Settings) -> str:
    """What to say of it; a demo does without nginx, too."""
    try:
        sent = through_nginx(world, settings.landing_dir)
    except (EdgeError, OSError, HTTPException) as error:
        return f"nginx does not run here, the prefix's log is made up, too: {plain(str(error))}"
    if not sent:
        return "no nginx here: the prefix's log is made up, too"
    return f"{sent} of the world's requests went through nginx, as the prefix (docs/edge.md)"


def _truth(told: dict[str, Any], settings: Settings) -> Truth:
    collaborations = [histories.Collaboration(**each) for each in told["collaborations"]]
    return Truth(told["downloads"][settings.window.value], collaborations)


# --- Dagster


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoFailed(f"port {port} is in use: give --port another one") from error


def server_environment(settings: Settings) -> dict[str, str]:
    """What Dagster's processes need to know of `settings`; prepares DAGSTER_HOME, and its database.

    Raises SettingError: that database, or the registry's, cannot be used; AnotherInstallation.
    """
    claim(settings.registry, settings.data)
    if settings.dagster_db:
        prepare_database(settings.dagster_db, identity(settings.data))
    given = settings.model_dump(exclude_unset=True) | {"data": settings.data}
    return {
        "DAGSTER_HOME": str(prepare_home(settings)),
        "DAGSTER_DISABLE_TELEMETRY": "true",
        **{
            PREFIX + name.upper(): str(value.resolve() if isinstance(value, Path) else value)
            for name, value in given.items()
            if value is not None
        },
    }


@contextlib.contextmanager
def running_dagster(settings: Settings, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`earshot run` over this data folder; ends with all its processes."""
    environment = server_environment(settings)
    with log.open("ab") as output:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "orchestration.servers",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that runs us in the background has SIGINT ignored, and Dagster would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        yield server
    finally:
        for sign, patience_s in ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(patience_s)
                break


def _wait_for_marts(
    feeds: DemoFeeds, truth: Truth, server: subprocess.Popen[bytes], log: Path, progress: Progress
) -> None:
    """Follow the intake, the marts and the feeds until the marts hold the world's downloads and the podcasts
    were polled, or all stand still.
    """
    settings = feeds.settings
    files = len(find_landing_files(settings.model_copy(update={"settle_s": 0})))
    wanted = sum(truth.downloads.values())
    intake = progress.add_task("log files taken in", total=files)
    marts = progress.add_task("downloads in the marts", total=wanted)
    due = feeds.due()
    podcasts = progress.add_task("podcasts polled", total=due)
    seen, since = (0, 0, 0), time.monotonic()
    while seen != (files, wanted, due):
        if server.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise DemoFailed(f"Dagster ended early; the end of {log}:\n{tail}")
        taken = Lake(settings.lake_dir).ledger().height
        published = sum(_downloads(settings).values())
        polled = min(feeds.polled(), due)
        if (taken, published, polled) != seen:
            seen, since = (taken, published, polled), time.monotonic()
            progress.update(intake, completed=taken)
            progress.update(marts, completed=published)
            progress.update(podcasts, completed=polled)
        settled = published > wanted or (taken >= files and published and time.monotonic() - since > 30)
        if settled:
            return  # other lists or files than the world's own: what is there is shown beside the truth
        if time.monotonic() - since > PATIENCE_S:
            raise DemoFailed(f"no progress for {PATIENCE_S} s; see {log}")
        time.sleep(1)


# --- what there is to see


def _downloads(settings: Settings) -> dict[str, int]:
    published = settings.published_dir / "current" / "marts.duckdb"
    if not published.exists():
        return {}
    with reading(published) as con:
        return dict(
            con.execute(
                "select source_class, cast(sum(downloads) as bigint) from fct_downloads group by source_class"
            ).fetchall()
        )


def _show(screen: Console, settings: Settings, truth: Truth) -> None:
    table = Table(title=f"Top shows ({settings.window.value} window, server logs)", title_justify="left")
    for column in ("show", "downloads", "listeners", "requests", "GB"):
        table.add_column(column, justify="left" if column == "show" else "right")
    with reading(settings.published_dir / "current" / "marts.duckdb") as con:
        for show, downloads, listeners, requests, served_bytes in con.execute(
            """
            select
                coalesce(any_value(s.show_title), d.show_id, '(not in the catalogue)'),
                count(*), count(distinct listener_key), sum(requests), sum(served_bytes)
            from fct_downloads as d left join dim_shows as s using (show_id)
            where source_class = 'server_log' and downloads = 1
            group by d.show_id order by 2 desc, 1 limit ?
            """,
            [TOP_SHOWS],
        ).fetchall():
            table.add_row(
                plain(show), f"{downloads:,}", f"{listeners:,}", f"{requests:,}", f"{served_bytes / 1e9:,.1f}"
            )
    screen.print(table)
    counted = _downloads(settings)
    for source_class, wanted in sorted(truth.downloads.items()):
        got = counted.get(source_class, 0)
        verdict = (
            "equal to the world's own truth"
            if got == wanted
            else f"the world's own truth is {wanted:,}: other files in landing, or other lists"
        )
        screen.print(f"{source_class}: {got:,} downloads, {verdict}")
