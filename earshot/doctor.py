"""`earshot doctor`: versions, folders, ports, lists and disk; what is wrong and what to do."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from earshot.finding import Finding, Verdict
from ingest.settings import PREFIX, SettingError, Settings

NEEDED = [
    "dagster",
    "dagster-dbt",
    "dagster-postgres",
    "dbt-core",
    "dbt-duckdb",
    "duckdb",
    "polars",
    "polars-hash",
    "isal",
]
UI_PORT = 3000
WAITING_S = 900
FREE_GB_WANTED, FREE_GB_NEEDED = 20, 2  # a day of 10 M lines takes about 1 GB with the marts beside it


def examine(settings: Settings) -> list[Finding]:
    """Look at everything this installation rests on. What cannot be looked at is a finding itself."""
    from earshot.doctor_alerts import alerts
    from earshot.doctor_deployment import deployment
    from earshot.doctor_feeds import feeds
    from earshot.doctor_postgres import in_postgres
    from earshot.doctor_privacy import privacy
    from earshot.doctor_webhooks import webhooks

    parts: dict[str, Callable[[], Finding | Iterable[Finding]]] = {
        "Python": _python,
        "packages": _packages,
        "environment": lambda: _environment(settings),
        "data folder": lambda: _data_folder(settings),
        "disk": lambda: _disk(settings),
        "sources": lambda: _sources(settings),
        "reference lists": lambda: _reference_lists(settings),
        "landing": lambda: _landing(settings),
        "files taken in": lambda: _not_counted(settings),
        "files that wait": lambda: _waiting(settings),
        "warehouse": lambda: _warehouse(settings),
        "published marts": lambda: _published(settings),
        "marts in PostgreSQL": lambda: in_postgres(settings),
        "feeds": lambda: feeds(settings),
        "webhooks": lambda: webhooks(settings),
        "alerts": lambda: alerts(settings),
        "privacy": lambda: privacy(settings),
        "deployment": lambda: deployment(settings),
        "platform": lambda: _platform(settings),
    }
    return [finding for what, part in parts.items() for finding in guarded(what, part)]


def guarded(what: str, part: Callable[[], Finding | Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one part; where it fails, those before and one that says why it did."""
    from ingest.damage import reason

    try:
        found = part()
        if isinstance(found, Finding):
            yield found
        else:
            yield from found
    except Exception as error:
        told, advice = reason(error)
        yield Finding(what, f"could not be looked at to its end: {told}", Verdict.WRONG, advice)


def _python() -> Finding:
    return Finding("Python", ".".join(map(str, sys.version_info[:3])))


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "not installed", Verdict.WRONG, "run `make setup`")


def _environment(settings: Settings) -> Iterator[Finding]:
    from earshot.known_settings import known_settings, meant
    from ingest.feeds.sources.settings import FeedSources

    known = known_settings()
    own = set[str]()  # where the keys of sources are: named by the user
    with contextlib.suppress(SettingError):  # told under "feed sources"
        own = FeedSources.read(settings).key_names()
    for name in sorted(set(filter(lambda name: name.startswith(PREFIX), os.environ)) - known - own):
        near = meant(name)
        advice = f"{near} is meant?" if near else "unset it; README and docs/ name the settings there are"
        yield Finding(name, "no such setting", Verdict.ODD, advice)


def _data_folder(settings: Settings) -> Finding:
    what, folder = "data folder", settings.data.resolve()
    if not folder.exists():
        advice = "run `make demo`, or set EARSHOT_DATA to your data folder (default: .earshot, here)"
        return Finding(what, f"{folder} does not exist", Verdict.ODD, advice)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(
            what, f"{folder} cannot be written", Verdict.WRONG, "set EARSHOT_DATA to a folder you may write"
        )
    return Finding(what, str(folder))


def _not_counted(settings: Settings) -> Finding:
    """Files whose latest delivery does not count."""
    from ingest.lake import Lake

    what = "files taken in"
    if not settings.lake_dir.exists():
        return Finding(what, "none yet")
    ledger = Lake(settings.lake_dir).ledger().sort("taken_in_us")
    latest = ledger.unique(["source", "file_name"], keep="last", maintain_order=True)
    open_ones = latest.filter(latest["status"].is_in(["held", "rejected"]))
    if not open_ones.height:
        return Finding(what, f"{latest.height:,}, all of them count")
    some = [
        f"{source}/{name}: {reason}"
        for source, name, reason in open_ones.head(5).select("source", "file_name", "reason").iter_rows()
    ]
    more = f" and {open_ones.height - 5} more" if open_ones.height > 5 else ""
    advice = "deliver them mended under the same name; the check `nothing_held_back` lists all"
    return Finding(what, f"{open_ones.height} do not count: {'; '.join(some)}{more}", Verdict.WRONG, advice)


def _waiting(settings: Settings) -> Iterator[Finding]:
    """Files that landed a while ago and that no intake has finished."""
    from ingest.lake import Lake
    from ingest.logs.found import find_landing_files

    before_ns = time.time_ns() - WAITING_S * 1_000_000_000
    old = [file for file in find_landing_files(settings) if file.changed_ns < before_ns]
    if not old:
        return
    known = set[tuple[str, str, int, int]]()
    if settings.lake_dir.exists():
        ledger = Lake(settings.lake_dir).ledger()
        known = set(ledger.select("source", "file_name", "size_bytes", "modified_ns").iter_rows())
    waiting = sorted(f"{file.source}/{file.name}" for file in old if file.identity not in known)
    if waiting:
        more = f" and {len(waiting) - 3:,} more" if len(waiting) > 3 else ""
        yield Finding(
            "files that wait",
            f"{len(waiting):,} landed over {WAITING_S // 60} minutes ago and are not taken in: "
            f"{', '.join(waiting[:3])}{more}",
            Verdict.ODD,
            "does the platform run? Why did runs of `ingest_logs` fail? Once that is mended the job "
            "`take_in_now` takes them in at once, else the sensor within the hour",
        )


def _disk(settings: Settings) -> Finding:
    folder = settings.data.resolve()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{free_gb:,.0f} GB free"
    if free_gb < FREE_GB_NEEDED:
        return Finding("disk", found, Verdict.WRONG, "free some space: intake stops cleanly when it is full")
    if free_gb < FREE_GB_WANTED:
        return Finding("disk", found, Verdict.ODD, f"less than {FREE_GB_WANTED} GB: watch it")
    return Finding("disk", found)


def _sources(settings: Settings) -> Iterator[Finding]:
    """Each source as the sensor sees it: what is declared of it, and how many files it has now."""
    from ingest.logs.found import find_landing_files, landing_folders, out_of_reach
    from ingest.sources import FILE, Sources, safe_name

    try:
        sources = Sources.load(settings)
        ready = Counter(file.source for file in find_landing_files(settings))
        here = Counter(
            file.source for file in find_landing_files(settings.model_copy(update={"settle_s": 0}))
        )
    except SettingError as error:
        advice = f"mend {settings.data / FILE}: until then nothing is taken in, and nothing is lost"
        yield Finding("sources", str(error), Verdict.WRONG, advice)
        return
    names = {*sources.declared, *here}
    for folder in landing_folders(settings):
        with contextlib.suppress(SettingError):  # told under "landing"
            names.add(safe_name(folder.name))
    if not names:
        yield Finding("sources", "none yet: each folder below landing is one, told by its content")
    unreachable = out_of_reach(sources)
    for name in sorted(names):
        source = sources.get(name)
        place = sources.places.get(name)
        path = source.path if place else settings.landing_dir / name
        comparable = "by format" if source.comparable is None else str(source.comparable).lower()
        too_new = here[name] - ready[name]  # one may have come between the two looks
        files = [f"{ready[name]:,} files"] if ready[name] or too_new < 1 else []
        files += [f"{too_new:,} files too new yet"] if too_new > 0 else []
        found = (
            f"{', '.join(files)} in {path}: format {source.format}, "
            f"class {source.source_class or 'by format'}, trusted_proxies {source.trusted_proxies}, "
            f"time_zone {source.time_zone}, comparable {comparable}"
        )
        if name in unreachable:
            advice = f"create it, make it readable, or mend {settings.data / FILE}"
            yield Finding(f"source {name}", f"{found}; {unreachable[name]}", Verdict.ODD, advice)
        else:
            yield Finding(f"source {name}", found)


def _reference_lists(settings: Settings) -> Iterator[Finding]:
    """Which version of each list is in use and where it is from; lists that were refused or are old."""
    from ingest.lake import utc_now_us
    from ingest.logs.rules import Rules
    from ingest.reference import overview
    from ingest.reference.declared import sources
    from ingest.reference.in_force import ABSENT, BUILT_IN
    from ingest.reference.refresh import known_outcome
    from ingest.reference.store import ListStore

    what = "reference lists"
    try:
        rules = Rules.load(settings)
        store = ListStore.of(settings)
        looked = [known_outcome(source, store) for source in sources(settings).values()]
    except (SettingError, ValueError, OSError) as error:
        advice = "until it is mended nothing is taken in, and nothing is lost"
        yield Finding(what, str(error), Verdict.WRONG, advice)
        return
    used = [found for found in rules.lists.values() if found.version != ABSENT]
    named = ", ".join(f"{found.spec.name} {found.version} ({found.origin})" for found in used)
    if rules.lists["agents"].origin == BUILT_IN:
        advice = "`earshot lists refresh` fetches the full public lists, or set EARSHOT_REFERENCE_DIR"
        yield Finding(what, f"our own small ones: {named}", Verdict.ODD, advice)
    else:
        yield Finding(what, named)
    now_us = utc_now_us()
    refreshed = [each for each in looked if each is not None]
    for name, told, verdict, advice in (
        ("lists refused", overview.valid(refreshed), Verdict.WRONG, "`earshot lists refresh` looks again"),
        ("lists' age", overview.fresh(refreshed, now_us), Verdict.ODD, "`earshot lists refresh` looks again"),
        (
            "inclusions",
            overview.inclusions_validated(
                rules.included_addresses, datetime.fromtimestamp(now_us / 1e6, UTC).date()
            ),
            Verdict.ODD,
            "then run `earshot lists refresh`",
        ),
    ):
        if not told.passed:
            yield Finding(name, told.message, verdict, advice)


def _landing(settings: Settings) -> Finding:
    from ingest.logs.found import landing_folders, passed_over

    folder: Path = settings.landing_dir
    if not folder.is_dir():
        return Finding(
            "landing", f"{folder}: nothing there yet", Verdict.ODD, f"put log files into {folder}/<source>/"
        )
    if waiting := passed_over(settings):
        advice = "rename the folder, or make it readable: its files wait"
        return Finding("landing", "; ".join(waiting), Verdict.WRONG, advice)
    return Finding("landing", f"{len(landing_folders(settings))} sources in {folder}")


def _warehouse(settings: Settings) -> Finding:
    import duckdb

    path = settings.warehouse
    if not path.exists():
        return Finding(
            "warehouse",
            "not built yet",
            Verdict.ODD,
            "`earshot run` builds it once files land",
        )
    size = f"{path.stat().st_size / 1e6:,.0f} MB"
    try:
        duckdb.connect(str(path.resolve()), read_only=True).close()
    except duckdb.Error as error:
        if "Could not set lock" in str(error):  # its owner can open it
            return Finding("warehouse", f"{size}, in use")
        advice = "docs/operations.md, 'When something breaks', says how it is made again from the lake"
        found = f"{size}, cannot be opened ({str(error).splitlines()[0][:120]})"
        return Finding("warehouse", found, Verdict.WRONG, advice)
    return Finding("warehouse", size)


def _published(settings: Settings) -> Finding:
    current = settings.published_dir / "current"
    if not current.exists():
        return Finding("published marts", "none yet", Verdict.ODD, "they appear after the first build")
    return Finding("published marts", str(current.resolve()))


def _platform(settings: Settings) -> Iterator[Finding]:
    from orchestration.alone import running

    who = running(settings.data)
    if who:
        yield Finding("platform", f"runs: {who}")
        return
    yield Finding(
        "platform",
        "does not run: nothing is taken in, built or polled",
        Verdict.ODD,
        "`systemctl start earshot.target` where it is a service, else `earshot run`",
    )
    with socket.socket() as probe:
        probe.settimeout(1)
        in_use = probe.connect_ex(("127.0.0.1", UI_PORT)) == 0
    if in_use:
        advice = f"end it, or give ours another one: earshot run --port {UI_PORT + 1}"
        yield Finding(f"port {UI_PORT}", "another program has it", Verdict.ODD, advice)
