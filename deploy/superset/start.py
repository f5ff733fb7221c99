"""Prepare Superset in <data>/bi, then become its server. Run by `make bi` in .venv-bi.

Prepared is only what has changed: the first start takes about two minutes, a later one some ten seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import logging
import os
import re
import secrets
import socket
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deploy.superset import bundle
from deploy.superset.postgres import NotAReader, Unreachable, check_reader

ROOT = Path(__file__).resolve().parent.parent.parent
ADMIN, ANALYSTS = "admin", "Earshot"
STAMP = "prepared"


class CannotStart(RuntimeError):
    """The message says what is missing and what to do."""


@dataclass(frozen=True)
class Place:
    """Where things lie, and where the server listens."""

    data: Path
    host: str
    port: int
    workers: int

    @classmethod
    def from_env(cls) -> Place:
        """EARSHOT_DATA as everywhere, EARSHOT_BI_HOST, …_PORT, …_WORKERS, …_MEMORY. Raises CannotStart."""
        memory = os.environ.get("EARSHOT_BI_MEMORY") or "1GB"
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", memory):
            raise CannotStart(f"setting EARSHOT_BI_MEMORY = {memory!r} cannot be used: write 1GB or 512MiB")
        numbers = {}
        for name, default, largest in (("EARSHOT_BI_PORT", 8088, 65_535), ("EARSHOT_BI_WORKERS", 1, 64)):
            given = os.environ.get(name) or str(default)
            if not given.isdecimal() or not 1 <= int(given) <= largest:
                raise CannotStart(f"setting {name} = {given!r} cannot be used: a number from 1 to {largest}")
            numbers[name] = int(given)
        data = Path(os.environ.get("EARSHOT_DATA") or ".earshot").absolute()
        host = os.environ.get("EARSHOT_BI_HOST") or "127.0.0.1"
        return cls(data, host, numbers["EARSHOT_BI_PORT"], numbers["EARSHOT_BI_WORKERS"])

    @property
    def folder(self) -> Path:
        return self.data / "bi"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/superset/dashboard/earshot/"


def sources(place: Place) -> list[bundle.Source]:
    """The databases to connect. Raises CannotStart."""
    published = place.data / "published"
    if not (published / "current" / "shared.duckdb").is_file():
        raise CannotStart(
            f"no marts that analysts may read are published in {published}: `earshot run` builds and "
            "publishes them; after an upgrade `earshot rebuild` publishes them anew; or set EARSHOT_DATA "
            "to the data folder"
        )
    found = [bundle.Source.duckdb(published)]
    reader = os.environ.get("EARSHOT_BI_MARTS_DB")
    if reader:
        try:
            check_reader(reader)
            found.append(bundle.Source.postgresql(reader))
        except Unreachable as error:
            tell(f"{error}; the marts' own file is, and the next start tries again")
        except NotAReader as error:
            raise CannotStart(str(error)) from error
    elif os.environ.get("EARSHOT_MARTS_DB"):
        tell(
            "PostgreSQL is not connected: EARSHOT_MARTS_DB is the publisher's address, which analysts must "
            "not have; set EARSHOT_BI_MARTS_DB to that of the role in EARSHOT_MARTS_DB_READER"
        )
    return found


def look_for_the_port(place: Place) -> None:
    """Before minutes of preparing. Raises CannotStart."""
    try:
        with socket.create_server((place.host, place.port), family=_family(place.host)):
            pass
    except OSError as error:
        reason = str(error.strerror or error).partition(" (")[0]
        raise CannotStart(
            f"Superset cannot listen on {place.host}, port {place.port} ({reason}): set "
            "EARSHOT_BI_HOST and EARSHOT_BI_PORT, for example EARSHOT_BI_PORT=8089"
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def make_folder(place: Place) -> None:
    """<data>/bi, for its owner only, with the secret that signs sessions and seals passwords."""
    place.folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        there = os.open(place.folder / "secret_key", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(there, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
    os.environ |= {
        "EARSHOT_DATA": str(place.data),
        "SUPERSET_CONFIG_PATH": str(ROOT / "deploy" / "superset" / "superset_config.py"),
        "PYTHONPATH": str(ROOT),
        "FLASK_APP": "superset",
    }


def prepare(place: Place, found: Iterable[bundle.Source], wants_password: bool) -> str | None:
    """Migrate, make the roles and the administrator, import the dashboard. The password, where it is new."""
    told = [bundle.for_source(bundle.read_files(), source, is_ours=True) for source in found]
    about = [version("apache-superset"), *(bundle.fingerprint(files) for files in told)]
    wanted = hashlib.sha256("\n".join(about).encode()).hexdigest()
    stamp = place.folder / STAMP
    is_prepared = stamp.is_file() and stamp.read_text("ascii") == wanted
    if is_prepared and not wants_password:
        return None
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # hundreds of lines about each migration and permission
    with contextlib.redirect_stdout(io.StringIO()):  # and they print
        password = _prepared(told, is_prepared, wants_password)
    logging.disable(logging.NOTSET)
    stamp.write_text(wanted, "ascii")
    return password


def _prepared(told: Iterable[bundle.Files], is_prepared: bool, wants_password: bool) -> str | None:
    from superset.app import create_app  # takes seconds, and reads the environment as it is now

    with create_app().app_context():
        if not is_prepared:
            tell("Preparing Superset (the first time about two minutes) ...")
            _migrate()
        password = _admin(wants_password)
        if not is_prepared:
            _import(told)
        return password


def _migrate() -> None:
    from flask_migrate import upgrade
    from superset import appbuilder, security_manager

    upgrade(directory=str(Path(sys.modules["superset"].__file__ or "").parent / "migrations"))
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()


def _admin(wants_password: bool) -> str | None:
    from superset import security_manager

    known = security_manager.find_user(username=ADMIN)
    if known and not wants_password:
        return None
    password = secrets.token_urlsafe(15)
    if known:
        security_manager.reset_password(known.id, password)
    else:
        role = security_manager.find_role("Admin")
        security_manager.add_user(ADMIN, "Earshot", "Admin", "admin@earshot.invalid", role, password)
    return password


def _import(told: Iterable[bundle.Files]) -> None:
    from superset import db, security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.models.core import Database
    from superset.utils.core import override_user

    role = security_manager.add_role(ANALYSTS)
    with override_user(security_manager.find_user(username=ADMIN)):
        for files in told:
            ImportAssetsCommand(bundle.as_contents(files, "assets")).run()
    for database in db.session.query(Database):
        view = security_manager.add_permission_view_menu("database_access", database.perm)
        security_manager.add_permission_role(role, view)
    db.session.commit()


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def serve(place: Place) -> Any:
    """Become the server; does not return."""
    bind = f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"
    options = ["--bind", bind, "--workers", str(place.workers), "--worker-class", "gthread", "--threads", "8"]
    options += ["--timeout", "120", "--log-level", "warning", "superset.app:create_app()"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bi", description="Superset over the published marts")
    parser.add_argument("--new-password", action="store_true", help="give the administrator another one")
    parser.add_argument("--prepare-only", action="store_true", help="do not serve")
    given = parser.parse_args()
    try:
        place = Place.from_env()
        if not given.prepare_only:
            look_for_the_port(place)
        found = sources(place)
        make_folder(place)
        password = prepare(place, found, given.new_password)
    except CannotStart as error:
        tell(str(error))
        raise SystemExit(2) from error
    if password:
        tell(f"User {ADMIN}, password {password} (told this once; another: `make bi-password`)")
    if not given.prepare_only:
        tell(f"Superset: {place.url} (ready in some ten seconds; Ctrl-C ends it)")
        serve(place)


if __name__ == "__main__":
    main()
