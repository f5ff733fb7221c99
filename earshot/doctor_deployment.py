"""What `earshot doctor` says of how it is run: prefix, Dagster's database, units, secret files, backups."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from earshot.finding import Finding, Verdict
from earshot.podcast_status import span
from ingest.installation import AnotherInstallation
from ingest.settings import SettingError, Settings

BACKUP_LATE_S = 36 * 3600  # one a night, and some hours for a large one
SYSTEMD = Path("/run/systemd/system")  # there where systemd runs: sd_booted(3)
_UNITS = "earshot-*"


def deployment(settings: Settings) -> Iterator[Finding]:
    yield from _edge(settings)
    yield from _dagster(settings)
    yield from _units()
    yield from _secret_files(settings)
    yield from _backups(settings)


def _edge(settings: Settings) -> Iterator[Finding]:
    """As `earshot edge check`, where a prefix was ever set up."""
    from serving.edge.check import check
    from serving.edge.server import EdgeError
    from serving.edge.settings import EdgeSettings

    try:
        edge = EdgeSettings.from_env(platform=settings)
        if not edge.folder.exists():
            return
        looked = check(edge)
    except (SettingError, EdgeError, OSError) as error:
        yield Finding("prefix", str(error), Verdict.WRONG, "`earshot edge check` looks again")
        return
    amiss = [one for one in looked if one.advice]
    if not amiss:
        yield Finding("prefix", "; ".join(f"{one.what} {one.found}" for one in looked))
    for number, one in enumerate(amiss):
        what = f"prefix: {one.what}" if one.what not in [each.what for each in amiss[:number]] else "prefix"
        yield Finding(what, one.found, Verdict.WRONG if one.is_wrong else Verdict.ODD, one.advice)


def _dagster(settings: Settings) -> Iterator[Finding]:
    from ingest.installation import known
    from orchestration.postgres import SCHEMA, is_prepared_at, refuse_another, shown, storage_url
    from registry import owned

    what = "Dagster's records"
    with contextlib.suppress(SettingError):  # that it does not answer is told with the registry
        try:
            owned.refuse_another(settings.registry, settings.data)
        except AnotherInstallation as error:
            yield Finding("registry's owner", *_of_another(error))
    if settings.dagster_db is None:
        yield Finding(what, "SQLite in the data folder: enough for a trial; PostgreSQL is for production")
        return
    try:
        where = f"{shown(storage_url(settings.dagster_db))}, schema {SCHEMA}"
        refuse_another(settings.dagster_db, known(settings.data))
        if is_prepared_at(settings.dagster_db):
            yield Finding(what, where)
        else:
            found = f"{where}: not prepared for this version of Dagster"
            yield Finding(
                what, found, Verdict.ODD, "`earshot migrate` does it, and `earshot run` when it starts"
            )
    except AnotherInstallation as error:
        yield Finding(what, *_of_another(error))
    except SettingError as error:
        advice = "is the server up, and reached from here? Runs wait for it; then nothing starts"
        yield Finding(what, str(error), Verdict.WRONG, advice)


def _of_another(error: AnotherInstallation) -> tuple[str, Verdict, str]:
    found, _, advice = str(error).partition(". ")
    return found, Verdict.WRONG, advice


def _units() -> Iterator[Finding]:
    """What systemd thinks of our units; nothing where it does not run, or they are not installed."""
    if not SYSTEMD.exists():
        return
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", _UNITS]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("units", str(error), Verdict.ODD, "`systemctl status earshot.target`")
        return
    units = [line.split(maxsplit=4) for line in listed.splitlines() if len(line.split()) >= 4]
    if not units:
        return
    failed = [name for name, _, active, *_ in units if active == "failed"]
    if failed:
        advice = f"`journalctl -u {failed[0]} -n 50` says why; then `systemctl restart {failed[0]}`"
        yield Finding("units", f"failed: {', '.join(failed)}", Verdict.WRONG, advice)
    else:
        running = sum(active == "active" for _, _, active, *_ in units)
        yield Finding("units", f"{running} active, none failed")


def _secret_files(settings: Settings) -> Iterator[Finding]:
    """Files that only their owner may read. The registry's own is looked at with the webhooks."""
    from earshot.installing.env_file import NAME, is_private

    data = settings.data
    candidates = [data / NAME, data / "api.secret", *sorted(settings.keys_dir.glob("*.key"))]
    secret = [path for path in candidates if path.is_file()]
    open_ones = [path for path in secret if not is_private(path)]
    if open_ones:
        found = f"others may read {open_ones[0]}{f' and {len(open_ones) - 1} more' if open_ones[1:] else ''}"
        advice = f"chmod 600 {' '.join(str(path) for path in open_ones[:3])}"
        yield Finding("secret files", found, Verdict.WRONG, advice)
    elif secret:
        yield Finding("secret files", f"{len(secret)}, each for its owner alone")


def _backups(settings: Settings) -> Iterator[Finding]:
    from serving.platform_metrics import last_backup

    made_at = last_backup(settings.data)
    advice = "`earshot backup` to another disk, each night (earshot-backup.timer): docs/operations.md"
    if made_at is None:
        if settings.warehouse.exists():
            yield Finding("backup", "none was made of this folder", Verdict.ODD, advice)
        return
    age_s = (datetime.now(UTC) - made_at).total_seconds()
    found = f"the last {span(int(max(age_s, 0) * 1e6))} ago"
    if age_s > BACKUP_LATE_S:
        yield Finding("backup", found, Verdict.WRONG, advice)
    else:
        yield Finding("backup", found)
