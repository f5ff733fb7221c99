"""Runs that failed, by what they work on: `<data>/alerts/runs.json`, until a later run succeeds.

Whoever watches runs notes failures here and takes away what has succeeded since; looks read it. So a failure
is an alert that lasts as every other, although it happened in an instant.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ingest.durable import locked, write_atomically
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.state import folder

FILE = "runs.json"
_REMEMBERED = 20  # run ids of a subject: the same failure noted twice is one
MANY = 3  # so many failures in a row without a success are critical


@dataclass(frozen=True)
class Failure:
    """The failures of one job (and source) since it last succeeded."""

    job: str
    source: str | None  # of log files, where the run is of one
    first_us: int
    last_us: int
    runs: int
    steps: tuple[str, ...]  # that failed in the last one
    run_ids: tuple[str, ...] = field(default=())  # newest last

    @property
    def subject(self) -> str:
        return f"{self.job}/{self.source}" if self.source else self.job

    @property
    def last_run(self) -> str:
        return self.run_ids[-1]


def note(
    data: Path, job: str, source: str | None, run_id: str, failed_us: int, steps: tuple[str, ...] = ()
) -> None:
    """A run failed, and nobody makes it again by itself. Noted twice, it is there once."""
    with _changing(data) as failures:
        new = Failure(job, source, failed_us, failed_us, 1, steps, (run_id,))
        known = failures.get(new.subject)
        if known is None:
            failures[new.subject] = new
        elif run_id not in known.run_ids:
            failures[new.subject] = replace(
                known,
                last_us=failed_us,
                runs=known.runs + 1,
                steps=steps,
                run_ids=(*known.run_ids, run_id)[-_REMEMBERED:],
            )


def succeeded(data: Path, subject: str, before_us: int) -> bool:
    """Take away failures of `subject` that ended before `before_us`; whether there were any."""
    with _changing(data) as failures:
        known = failures.get(subject)
        if known is None or known.last_us >= before_us:
            return False
        del failures[subject]
        return True


def known_failures(data: Path) -> list[Failure]:
    """Of all subjects. Raises ValueError for a file that cannot be read."""
    return sorted(_read(data).values(), key=lambda each: each.first_us)


def alerts(failures: list[Failure]) -> list[Alert]:
    """One a subject."""
    return [_alert(each) for each in failures]


def _alert(each: Failure) -> Alert:
    of = f" of source {each.source}" if each.source else ""
    steps = f" (in {', '.join(each.steps[:3])})" if each.steps else ""
    times = "" if each.runs == 1 else f" {each.runs:,} times since it last succeeded"
    return Alert(
        Kind.RUN_FAILED,
        each.subject,
        Severity.CRITICAL if each.runs >= MANY else Severity.WARNING,
        f"The run {each.job}{of} failed{times}{steps}.",
        f"Open run {each.last_run}: its last red event names the reason and what to do; then start it again.",
        amount=each.runs,
        count=each.runs,
        run_id=each.last_run,
    )


@contextlib.contextmanager
def _changing(data: Path) -> Iterator[dict[str, Failure]]:
    folder(data).mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder(data) / ".runs.lock"):
        try:
            failures = _read(data)
        except ValueError:
            failures = {}  # what it said is lost; what is noted now is not
        before = dict(failures)
        yield failures
        if failures != before:
            rows = [asdict(each) for each in failures.values()]
            write_atomically(folder(data) / FILE, json.dumps(rows, indent=1).encode())


def _read(data: Path) -> dict[str, Failure]:
    try:
        rows = json.loads((folder(data) / FILE).read_bytes())
    except FileNotFoundError:
        return {}
    try:
        found = [
            Failure(**{**row, "steps": tuple(row["steps"]), "run_ids": tuple(row["run_ids"])}) for row in rows
        ]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{FILE} is not as it is written: {error}") from error
    return {each.subject: each for each in found}
