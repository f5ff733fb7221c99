"""What a command says when it fails: one plain message that names what, why, and what to do."""

from __future__ import annotations

import errno

from earshot.exit_codes import FAILED, USAGE
from ingest.settings import SettingError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ADVICE = {
    errno.EROFS: "mount it for writing and run it again: nothing is lost",
    errno.EACCES: "make it readable and writable for this user, then run it again: nothing is lost",
    errno.EPERM: "make it readable and writable for this user, then run it again: nothing is lost",
    errno.EIO: "the disk fails: look at the system's log, then `earshot verify`",
}


def in_plain_words(error: Exception) -> tuple[str, int] | None:
    """(message, exit code) of a failure that can be told so; None: a fault of ours, to be shown in full."""
    if isinstance(error, SettingError):
        return str(error), USAGE
    if isinstance(error, OSError):
        return _of_a_file(error), FAILED
    package = type(error).__module__.partition(".")[0]
    if package == "polars":
        return f"a file cannot be read ({error}): `earshot verify` tells which is damaged", FAILED
    if package in ("sqlalchemy", "sqlite3", "psycopg2") and (told := _of_the_registry(error)):
        return told, FAILED
    return (str(error), FAILED) if isinstance(error, _expected_errors()) else None


def _of_a_file(error: OSError) -> str:
    what = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        reason = f"{reason}: free some space and run it again: nothing is lost"
    elif error.errno in _ADVICE:
        reason = f"{reason}: {_ADVICE[error.errno]}"
    return what + reason


def _of_the_registry(error: Exception) -> str | None:
    """What the database said, without the statement; None: the statement was wrong, not the database."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    from registry.database import advice

    if isinstance(error, DBAPIError) and not isinstance(error, OperationalError):
        return None
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = str(cause).strip().partition("\n")[0]
    return f"the registry failed: {reason}: {advice(reason)}"


def _expected_errors() -> tuple[type[Exception], ...]:
    """Errors that tell the user what to do; imported only when one is at hand, to start fast."""
    from earshot.as_owner import NotTheOwner
    from earshot.backup.manifest import BackupError
    from earshot.demo import DemoFailed
    from earshot.explain.answer import NothingToExplain
    from earshot.installing.command import InitRefused
    from earshot.installing.server import ServerUnfit
    from earshot.pipeline import DbtFailed
    from earshot.published import NothingPublished
    from earshot.rebuild import RequestsAreGone, WarehouseInUse
    from earshot.registry_at_hand import RegistryFailed
    from earshot.report import ReportError
    from earshot.webhook_commands import WebhookFailed
    from ingest.catalog import CatalogError
    from ingest.installation import AnotherInstallation
    from ingest.lake import LakeDamaged, LakeFormatError
    from ingest.logs.agents import AgentListError
    from ingest.logs.errors import FileRefused
    from ingest.logs.keyring import KeyRingError
    from ingest.logs.ranges import ReferenceListError
    from orchestration.dbt_manifest import ManifestError
    from orchestration.erasing import MartsInUse
    from registry.collaborations import UnknownCollaboration
    from registry.subscriptions import UnknownSubscription
    from serving.attribution.marts import NoAttribution
    from serving.contract import ContractError
    from serving.edge.grammar import TooManyPrefixes
    from serving.edge.server import EdgeError
    from serving.postgres import MartsDatabaseError
    from serving.publish import PublishError

    return (
        AgentListError,
        AnotherInstallation,
        BackupError,
        CatalogError,
        ContractError,
        DbtFailed,
        DemoFailed,
        EdgeError,
        FileRefused,
        InitRefused,
        KeyRingError,
        LakeDamaged,
        LakeFormatError,
        ManifestError,
        MartsDatabaseError,
        MartsInUse,
        NoAttribution,
        NotTheOwner,
        NothingPublished,
        NothingToExplain,
        PublishError,
        ReferenceListError,
        RegistryFailed,
        ReportError,
        RequestsAreGone,
        ServerUnfit,
        TooManyPrefixes,
        UnknownCollaboration,
        UnknownSubscription,
        WarehouseInUse,
        WebhookFailed,
    )
