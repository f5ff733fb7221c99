"""One thing that is wrong with this installation, as a look finds it: what it is and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PAGE = "docs/operations.md"


class Kind(StrEnum):
    """What is wrong. Each has a section of its own name in docs/operations.md; a test holds them together."""

    RUN_FAILED = "run_failed"
    PROMISE_BROKEN = "promise_broken"
    REJECTS = "rejects"
    ENDPOINT_DISABLED = "endpoint_disabled"
    LOW_DISK = "low_disk"
    KEY_ROTATION = "key_rotation"
    PREFIX = "prefix"
    CANNOT_LOOK = "cannot_look"  # one of the looks itself failed: what it watches may be wrong unseen


class Severity(StrEnum):
    """How much it matters."""

    WARNING = "warning"  # look at it today
    CRITICAL = "critical"  # something is lost, late or stands still now


@dataclass(frozen=True)
class Alert:
    """One thing that is wrong now. Kind and subject tell whether two looks found the same."""

    kind: Kind
    subject: str  # which one: a job, tier, source, subscription, folder, key
    severity: Severity
    wrong: str  # one sentence
    do: str  # one sentence
    amount: int = 1  # how much of it: runs, files, podcasts; twice as much is worse
    count: int | None = None  # how often it happened; None: as often as looks find it
    run_id: str | None = None  # Dagster's, where a run tells more

    def __post_init__(self) -> None:
        """File names need be no text; what cannot be kept or sent becomes a question mark."""
        for name in ("subject", "wrong", "do"):
            object.__setattr__(self, name, getattr(self, name).encode("utf-8", "replace").decode())

    @property
    def key(self) -> str:
        return f"{self.kind} {self.subject}"


def link(kind: Kind, run_id: str | None, dagster_url: str | None, docs_url: str | None = None) -> str:
    """Where to read on: the run, where Dagster's address is known, else the page's section."""
    if run_id and dagster_url:
        return f"{dagster_url.rstrip('/')}/runs/{run_id}"
    if docs_url:
        return f"{docs_url.rstrip('/')}/{PAGE.rpartition('/')[2]}#{kind}"
    return f"{PAGE}, section {kind}"
