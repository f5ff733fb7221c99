"""`earshot edge check`: is the prefix as it should be? Looks at everything, changes nothing."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.logs.prefixes import own_prefix_hosts
from ingest.logs.rules import prefixes_in_force
from ingest.settings import SettingError
from ingest.sources import FILE, Sources
from serving.edge.certificate import faults
from serving.edge.holders import holders, is_written
from serving.edge.hosts import registered_hosts
from serving.edge.place import hosts_in_place, in_place, is_whole, kept_back, owner
from serving.edge.render import render
from serving.edge.rotate import closed_logs
from serving.edge.server import EdgeError, master, nginx, start_command, trial
from serving.edge.settings import EdgeSettings

LATE_S = 300  # a rotation comes each minute
LITTLE_BYTES = 2**30  # on a full disk nginx goes on sending listeners, and writes no line of them
_NOT_OURS = re.compile(r"bind\(\) to \S+ failed \(13: ")
_TS = re.compile(rb'\{"ts":"([0-9]{1,12}(?:\.[0-9]{1,6})?)"')  # how each line of nginx.conf.j2 begins


@dataclass(frozen=True)
class Looked:
    """One thing looked at; `advice` is empty where it is well. is_wrong: listeners or lines are at stake."""

    what: str
    found: str
    advice: str = ""
    is_wrong: bool = True


def check(settings: EdgeSettings) -> list[Looked]:
    """What there is to say, in the order in which it is set up."""
    try:
        program = nginx(settings)
    except EdgeError as error:
        return [Looked("nginx", "none", str(error))]
    return [
        Looked("nginx", program),
        *_configuration(settings),
        *_hosts(settings),
        *_running(settings),
        *_logs(settings),
        *_intake(settings),
        *_certificate(settings),
    ]


def _configuration(settings: EdgeSettings) -> Iterator[Looked]:
    version = in_place(settings)
    if version is None:
        yield Looked("configuration", "none", "run earshot edge render")
        return
    if not is_whole(settings):
        yield Looked("configuration", version, "damaged on its disk: run earshot edge render")
        return
    fault = trial(settings, settings.configuration)
    if fault and not is_of_ports_alone(fault):
        yield Looked("configuration", version, f"nginx refuses it: {fault}")
        return
    hosts = tuple(sorted(hosts_in_place(settings)))
    wanted = render(settings, hosts, prefixes_in_force(settings.platform)).nginx
    is_another = _without_user(wanted) != _without_user(settings.configuration.read_text())
    advice = "made with other settings, lists or another Earshot: run earshot edge render"
    found = f"{version}, tried but for its ports, which this user may not open" if fault else version
    yield Looked("configuration", found, advice if is_another else "")


def _without_user(nginx: str) -> list[str]:
    """Whom workers run as depends on who renders, and this may be looked at by somebody else."""
    return [line for line in nginx.splitlines() if not line.startswith("user ")]


def is_of_ports_alone(fault: str) -> bool:
    """Whether `nginx -t` came to its end but for ports below 1024, which it opens last of all.

    Who looks each five minutes, the platform's user, may not open them; the nginx that runs may.
    """
    grave = [line for line in fault.splitlines() if "[emerg]" in line or "[alert]" in line]
    return bool(grave) and all(_NOT_OURS.search(line) for line in grave)


def _hosts(settings: EdgeSettings) -> Iterator[Looked]:
    registered, placed = registered_hosts(settings), hosts_in_place(settings)
    missing = sorted(set(registered.names) - placed)
    advice = f"{len(missing)} are not in place ({', '.join(missing[:3])}): run earshot edge render"
    yield Looked("hosts", f"{len(placed):,} in place", advice if missing else "")
    if kept := kept_back(settings, registered.names):
        advice = "is the lake whole (earshot verify)? If it is meant: earshot edge render --shrink"
        yield Looked("kept hosts", f"{len(kept):,} of {len(placed):,}", f"registered no more: {advice}")
    if not placed and not missing:
        yield Looked("hosts", "none", "no enclosure is registered: every listener gets 404")
    if registered.passed_over:
        shown = ", ".join(registered.passed_over[:3])
        advice = "addresses, local names, and more than a show has: listeners are not sent on to them"
        yield Looked("passed over", f"{len(registered.passed_over):,}: {shown}", advice, is_wrong=False)


def _running(settings: EdgeSettings) -> Iterator[Looked]:
    pid = master(settings)
    if pid:
        whose = owner(settings)
        is_roots = Path(f"/proc/{pid}").stat().st_uid == 0 and whose != "root"
        advice = f"as root, in folders of {whose}, who could lead it astray: start it as {whose}"
        yield Looked("running", f"process {pid}", advice if is_roots else "")
        if not is_written(settings.log) and not closed_logs(settings):
            yield Looked("log", "gone", "nginx writes to a file that was removed: run earshot edge rotate")
        return
    start = (
        "start it: systemctl start earshot-edge where that is set up, else as the data folder's owner: "
        f"{' '.join(start_command(settings))}"
    )
    workers = _who_holds(settings.log) if settings.log.exists() else ()
    if workers:
        named = " ".join(map(str, workers))
        start = f"its workers live on without it and hold the ports: kill {named}, then {start}"
    yield Looked("running", "no", start)


def _who_holds(log: Path) -> tuple[int, ...]:
    try:
        return holders(log).pids
    except OSError:  # not to be seen by us
        return ()


def _logs(settings: EdgeSettings) -> Iterator[Looked]:
    folder = settings.log.parent
    if (
        folder.is_dir()
        and settings.landing.is_dir()
        and folder.stat().st_dev != settings.landing.stat().st_dev
    ):
        yield Looked(
            "landing", str(settings.landing), f"on another file system than {folder}: set EARSHOT_EDGE_DIR"
        )
    waiting = [*closed_logs(settings), *([settings.log] if settings.log.exists() else [])]
    lines = [path for path in waiting if path.stat().st_size]
    late = [path for path in lines if time.time() - _first_line_s(path) > LATE_S]
    advice = "rotation does not run each minute: see its timer, or run earshot edge rotate" if late else ""
    if held := [(path, pids) for path in late if path != settings.log and (pids := _who_holds(path))]:
        path, pids = held[0]
        named = " ".join(map(str, pids))
        advice = f"nginx still writes to {path.name}: a worker hangs; end it: kill -9 {named}"
    yield Looked("log", f"{len(lines)} files to be handed over", advice)
    if folder.is_dir():
        free = shutil.disk_usage(folder).free
        advice = (
            "nearly full: listeners are still sent on, but no line of them is written"
            if free < LITTLE_BYTES
            else ""
        )
        yield Looked("disk", f"{free / 2**30:,.1f} GiB free", advice)


def _first_line_s(path: Path) -> float:
    """When its first line was written, as the line says: each later one changes what the system tells."""
    with path.open("rb") as log:
        told = _TS.match(log.read(64))
    return float(told[1]) if told else path.stat().st_mtime


def _intake(settings: EdgeSettings) -> Iterator[Looked]:
    hosts = own_prefix_hosts(settings.platform)
    advice = "set EARSHOT_PREFIX_HOSTS to the prefix's host: else enclosures in feeds are not unwound"
    yield Looked("prefix hosts", ", ".join(hosts) or "none", "" if hosts else advice)
    try:
        declared = Sources.load(settings.platform).get(settings.source).format
    except SettingError as error:
        yield Looked("source", settings.source, str(error))
        return
    wanted = f'[{settings.source}] format = "prefix"'
    advice = f"declare it in {FILE}, so that a file is never told by its lines alone: {wanted}"
    yield Looked("source", f"{settings.source}: {declared}", "" if declared == "prefix" else advice, False)


def _certificate(settings: EdgeSettings) -> Iterator[Looked]:
    if settings.certificate is None:
        yield Looked("certificate", "none", "without TLS: apps that ask for https only get nothing", False)
        return
    ends, found = faults(settings, bool(master(settings)))
    yield Looked("certificate", ends, "; ".join(found))
