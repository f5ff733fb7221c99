"""Puts a configuration in place: written beside, tried by `nginx -t`, then a link moves to it.

    <edge>/conf-<version>/{nginx.conf,hosts.conf}    <edge>/current → conf-<version>

At every moment `current` leads to a whole configuration that was tried. Nothing moves where none differs.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from ingest.durable import locked, sync, write_atomically
from ingest.owner import give_below
from serving.edge.render import Rendered
from serving.edge.server import EdgeError, reload, trial
from serving.edge.settings import EdgeSettings

_PRIVATE = 0o750
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
    settings.platform.data.mkdir(parents=True, exist_ok=True)
    own = [settings.folder, *(settings.folder / name for name in ("log", "temp", "acme")), settings.landing]
    for folder in own:
        folder.mkdir(parents=True, exist_ok=True)
        give(settings, folder)
    if stat.S_IMODE((settings.folder / "log").stat().st_mode) != _PRIVATE:
        (settings.folder / "log").chmod(_PRIVATE)


def give(settings: EdgeSettings, path: Path) -> None:
    """What root makes belongs to the owner of the data folder, who takes it in; another may not give."""
    give_below(settings.platform.data, path)


def worker_user(settings: EdgeSettings) -> str | None:
    """Whom workers run as where root starts nginx: the owner of the data folder; else who starts it."""
    if os.geteuid() != 0:
        return None
    owner = settings.platform.data.stat()
    return f"{pwd.getpwuid(owner.st_uid).pw_name} {grp.getgrgid(owner.st_gid).gr_name}"


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
        return Placed(rendered.version, len(now), added, lost, is_new, _is_told(settings, rendered.version))


def _is_told(settings: EdgeSettings, version: str) -> bool:
    """Tells nginx once of a version; again where whoever put it in place was killed before."""
    told, link = settings.folder / ".told", settings.folder / "current"
    if told.exists() and told.read_text() == version:
        return False
    if settings.pid_file.exists() and settings.pid_file.stat().st_mtime_ns > link.lstat().st_mtime_ns:
        return False  # it was started with this one
    if is_running := reload(settings):
        write_atomically(told, version.encode())
    return is_running


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
