"""Puts a configuration in place: written beside, tried by `nginx -t`, then a link moves to it.

    <edge>/conf-<version>/{nginx.conf,hosts.conf}    <edge>/current → conf-<version>

At every moment `current` leads to a whole configuration that was tried. Nothing moves where none differs.
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from ingest.durable import locked, sync, write_atomically
from serving.edge.render import Rendered
from serving.edge.server import EdgeError, reload, trial
from serving.edge.settings import EdgeSettings

_KEPT = 3  # configurations, the newest in place
# A list that has lost so much is rather a lake that cannot be read: listeners of the others would get 404.
MOST_LOST_SHARE = 0.5


@dataclass(frozen=True)
class Placed:
    """What came of it."""

    version: str
    hosts: int
    added: tuple[str, ...]
    lost: tuple[str, ...]
    is_new: bool
    is_reloaded: bool  # False: it was in place, or nginx does not run


def prepare(settings: EdgeSettings) -> None:
    """The folders nginx needs; what is in them names listeners' addresses: no others may look."""
    settings.landing.mkdir(parents=True, exist_ok=True)
    for name in ("log", "temp", "acme"):
        (settings.folder / name).mkdir(parents=True, exist_ok=True)
    (settings.folder / "log").chmod(0o750)


def worker_user(settings: EdgeSettings) -> str | None:
    """Whom workers run as: the owner of the folder, where root starts nginx; else who starts it."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwuid(settings.folder.stat().st_uid).pw_name


def place(settings: EdgeSettings, rendered: Rendered, may_shrink: bool = False) -> Placed:
    """Raises EdgeError: nginx refuses it, or half of the hosts would be gone; all stays as it was."""
    prepare(settings)
    with locked(settings.folder / ".place.lock"):
        before, now = hosts_in_place(settings), set(_names(rendered.hosts))
        added, lost = tuple(sorted(now - before)), tuple(sorted(before - now))
        if len(lost) > MOST_LOST_SHARE * len(before) and not may_shrink:
            raise EdgeError(
                f"{len(lost)} of {len(before)} hosts would be lost ({', '.join(lost[:3])} …): what is "
                "in place stays. If that is meant: earshot edge render --shrink"
            )
        folder = settings.folder / f"conf-{rendered.version}"
        is_new = in_place(settings) != rendered.version
        if is_new:
            _write(settings, rendered, folder)
            _switch(settings, folder)
            _forget_old(settings)
        return Placed(rendered.version, len(now), added, lost, is_new, is_new and reload(settings))


def in_place(settings: EdgeSettings) -> str | None:
    """The version of the configuration in place."""
    try:
        return (settings.folder / "current").readlink().name.removeprefix("conf-")
    except OSError:
        return None


def hosts_in_place(settings: EdgeSettings) -> set[str]:
    """The hosts of the configuration in place."""
    try:
        return set(_names((settings.folder / "current" / "hosts.conf").read_text()))
    except OSError:
        return set()


def _names(hosts: str) -> list[str]:
    return [line.partition(" ")[0] for line in hosts.splitlines()]


def _write(settings: EdgeSettings, rendered: Rendered, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in rendered.files.items():
        write_atomically(folder / name, text.encode())
    if fault := trial(settings, folder / "nginx.conf"):
        shutil.rmtree(folder)
        raise EdgeError(f"nginx refuses this configuration, the one in place stays:\n{fault}")


def _switch(settings: EdgeSettings, folder: Path) -> None:
    beside = settings.folder / ".current"
    beside.unlink(missing_ok=True)
    beside.symlink_to(folder.name)
    beside.replace(settings.folder / "current")
    sync(settings.folder)


def _forget_old(settings: EdgeSettings) -> None:
    every = sorted(settings.folder.glob("conf-*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    used = in_place(settings)
    for old in [path for path in every if path.name != f"conf-{used}"][_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
