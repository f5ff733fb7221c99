"""`earshot edge check`: is the prefix as it should be? Looks at everything, changes nothing."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.logs.prefixes import own_prefix_hosts
from ingest.settings import SettingError
from ingest.sources import FILE, Sources
from serving.edge.hosts import registered_hosts
from serving.edge.place import hosts_in_place, in_place
from serving.edge.rotate import closed_logs
from serving.edge.server import EdgeError, master, nginx, start_command, trial
from serving.edge.settings import EdgeSettings

LATE_S = 300  # a rotation comes each minute
_CERTIFICATE_DAYS = 14
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
    fault = trial(settings, settings.configuration)
    if fault and is_of_ports_alone(fault):
        yield Looked("configuration", f"{version}, tried but for its ports, which this user may not open")
        return
    yield Looked("configuration", version, f"nginx refuses it: {fault}" if fault else "")


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
    if not placed and not missing:
        yield Looked("hosts", "none", "no enclosure is registered: every listener gets 404")
    if registered.passed_over:
        shown = ", ".join(registered.passed_over[:3])
        yield Looked("passed over", shown, "addresses and local names are not sent on to", is_wrong=False)


def _running(settings: EdgeSettings) -> Iterator[Looked]:
    pid = master(settings)
    start = f"start it: {' '.join(start_command(settings))}"
    yield Looked("running", f"process {pid}" if pid else "no", "" if pid else start)


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
    advice = "rotation does not run each minute: see its timer, or run earshot edge rotate"
    yield Looked("log", f"{len(lines)} files to be handed over", advice if late else "")


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
    within = str(_CERTIFICATE_DAYS * 86_400)
    command = ["openssl", "x509", "-noout", "-enddate", "-checkend", within, "-in", str(settings.certificate)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Looked("certificate", str(settings.certificate), f"cannot be looked into: {error}", False)
        return
    ends = done.stdout.partition("=")[2].partition("\n")[0] or "cannot be read"
    advice = f"ends within {_CERTIFICATE_DAYS} days, or is none: renew it, then earshot edge reload"
    yield Looked("certificate", ends, advice if done.returncode else "")
