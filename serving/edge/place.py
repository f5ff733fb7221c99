"""Puts a configuration in place: written beside, tried by `nginx -t`, then a link moves to it.

    <edge>/conf-<version>/{nginx.conf,hosts.conf}    <edge>/current → conf-<version>

At every moment `current` leads to a whole configuration that was tried. Nothing moves where none differs.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from ingest.durable import locked, sync, write_atomically
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
    """The folders nginx needs; what is in them names listeners' addresses: no others may look.

    Raises EdgeError: root, where the data are somebody else's.
    """
    settings.platform.data.mkdir(parents=True, exist_ok=True)
    refuse_root(settings)
    own = [settings.folder, *(settings.folder / name for name in ("log", "temp", "acme")), settings.landing]
    for folder in own:
        folder.mkdir(parents=True, exist_ok=True)
    if stat.S_IMODE((settings.folder / "log").stat().st_mode) != _PRIVATE:
        (settings.folder / "log").chmod(_PRIVATE)


def refuse_root(settings: EdgeSettings) -> None:
    """Whoever may make links in a folder says where root writes: only in its own. Raises EdgeError."""
    name = owner(settings)
    if os.geteuid() == 0 and name != "root":
        raise EdgeError(
            f"{settings.platform.data} belongs to {name}: run this, and nginx, as {name} "
            f"(runuser -u {name} -- earshot edge …); ports below 1024: docs/edge.md"
        )


def owner(settings: EdgeSettings) -> str:
    """Whose the data folder is: the user's name, or number."""
    uid = settings.platform.data.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def worker_user(settings: EdgeSettings) -> str | None:
    """Whom workers run as where root starts nginx: root, whose the folders are; else who starts it."""
    return None if os.geteuid() != 0 else "root"


def kept_back(settings: EdgeSettings, names: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts that are in place and not among `names`, if they are so many that it is rather a mistake."""
    before = hosts_in_place(settings)
    lost = before - set(names)
    return tuple(sorted(lost)) if len(lost) > MOST_LOST_SHARE * len(before) else ()


def place(settings: EdgeSettings, rendered: Rendered) -> Placed:
    """Raises EdgeError: nginx refuses it; all stays as it was."""
    prepare(settings)
    with locked(settings.folder / ".place.lock"):
        before, now = hosts_in_place(settings), set(_names(rendered.hosts))
        added, lost = tuple(sorted(now - before)), tuple(sorted(before - now))
        folder = settings.folder / f"conf-{rendered.version}"
        is_new = in_place(settings) != rendered.version
        if not is_new and not is_whole(settings):  # nginx may have been started with what is there
            (settings.folder / ".told").unlink(missing_ok=True)
            is_new = True
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


def is_whole(settings: EdgeSettings) -> bool:
    """Is what is in place what was rendered? Its version is a hash of it."""
    return _rendered_in_place(settings) is not None


def hosts_in_place(settings: EdgeSettings) -> set[str]:
    """The hosts of the configuration in place; of a damaged one none: a changed name leads anywhere."""
    rendered = _rendered_in_place(settings)
    return set(_names(rendered.hosts)) if rendered else set()


def _rendered_in_place(settings: EdgeSettings) -> Rendered | None:
    folder = settings.folder / "current"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = Rendered(
            (folder / "nginx.conf").read_text("utf-8"), (folder / "hosts.conf").read_text("utf-8")
        )
        return found if found.version == in_place(settings) else None
    return None


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
