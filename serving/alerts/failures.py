"""Runs that failed, by what they work on: `<data>/alerts/runs.json`, until a later run succeeds.

Whoever watches runs notes failures here and takes away what has succeeded since; looks read it. So a failure
is an alert that lasts as every other, although it happened in an instant.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from ingest.durable import write_atomically
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.state import Amount, Instant, alone, folder, give, set_aside

FILE = "runs.json"
_LOCK = ".runs.lock"
_REMEMBERED = 20  # run ids of a subject: the same failure noted twice is one
MANY = 3  # so many failures in a row without a success are critical


@dataclass(frozen=True)
class Failure:
    """The failures of one job (and source) since it last succeeded."""

    job: str
    source: str | None  # of log files, where the run is of one
    first_us: Instant
    last_us: Instant
    runs: Amount
    steps: tuple[str, ...]  # that failed in the last one
    run_ids: Annotated[tuple[str, ...], Field(min_length=1)]  # newest last
    checks: tuple[str, ...] = ()  # that stopped the last one: what they say is in their own description

    @property
    def subject(self) -> str:
        return f"{self.job}/{self.source}" if self.source else self.job

    @property
    def last_run(self) -> str:
        return self.run_ids[-1]


_FAILURES = TypeAdapter(list[Failure])


def note(
    data: Path,
    job: str,
    source: str | None,
    run_id: str,
    failed_us: int,
    steps: tuple[str, ...] = (),
    checks: tuple[str, ...] = (),
) -> None:
    """A run failed, and nobody makes it again by itself. Noted twice, it is there once.

    checks: that did not pass and let nothing after them run.
    """
    with _changing(data) as failures:
        new = Failure(job, source, failed_us, failed_us, 1, steps, (run_id,), checks)
        known = failures.get(new.subject)
        if known is None:
            failures[new.subject] = new
        elif run_id not in known.run_ids:
            failures[new.subject] = replace(
                known,
                last_us=failed_us,
                runs=known.runs + 1,
                steps=steps,
                checks=checks,
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
    checks = ", ".join(each.checks[:3])
    steps = f" (in {', '.join(each.steps[:3])})" if each.steps else ""
    times = "" if each.runs == 1 else f" {each.runs:,} times since it last succeeded"
    if each.checks:
        wrong = f"The run {each.job}{of} ended as failed{times}: the check {checks} did not pass."
        do = (
            f"Open run {each.last_run}: the check says what it holds against what. Mend that, or deliver it "
            "mended; to start the run again alone changes nothing. What passed was taken in."
        )
    else:
        wrong = f"The run {each.job}{of} failed{times}{steps}."
        do = f"Open run {each.last_run}: its last red event says why and what to do; then start it again."
    return Alert(
        Kind.RUN_FAILED,
        each.subject,
        Severity.CRITICAL if each.runs >= MANY else Severity.WARNING,
        wrong,
        do,
        amount=each.runs,
        count=each.runs,
        run_id=each.last_run,
    )


def put_aside(data: Path) -> Path | None:
    """Where the file that cannot be read is now, so that the next failure begins it anew; None: it can be."""
    with alone(data, _LOCK):
        try:
            _read(data)
        except ValueError:
            return set_aside(data, FILE)
    return None


@contextlib.contextmanager
def _changing(data: Path) -> Iterator[dict[str, Failure]]:
    with alone(data, _LOCK):
        try:
            failures = _read(data)
        except ValueError:
            set_aside(data, FILE)
            failures = {}  # what it said is lost; what is noted now is not
        before = dict(failures)
        yield failures
        if failures != before:
            write_atomically(folder(data) / FILE, _FAILURES.dump_json(list(failures.values()), indent=1))
            give(folder(data) / FILE, data)


def _read(data: Path) -> dict[str, Failure]:
    path = folder(data) / FILE
    try:
        found = _FAILURES.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return {}
    except (ValidationError, IsADirectoryError) as error:
        raise ValueError(f"{path} is not as it is written") from error
    return {each.subject: each for each in found}
