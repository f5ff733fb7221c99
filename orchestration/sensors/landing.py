"""Asks for a run whenever log files have landed: one run a source takes all its new files."""

import hashlib
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg

from ingest.logs.found import out_of_reach, passed_over
from ingest.logs.intake import LandingFile, find_landing_files
from ingest.settings import SettingError, Settings
from ingest.sources import Sources
from orchestration.assets.ingest import ingest_job, intake_config
from orchestration.constants import (
    ATTEMPT_TAG,
    FILES_TAG,
    HASH_BYTES_PER_TICK,
    HASH_SECONDS_PER_TICK,
    INGEST_JOB,
    MAX_FILE_ATTEMPTS,
    SENSOR_INTERVAL_S,
    SOURCE_TAG,
    TAKE_IN_JOB,
)
from orchestration.liveness import report_dead_runs
from orchestration.partitions import hour_key
from orchestration.resources import Installation
from orchestration.sensors.landing_plan import UNREADABLE, Batch, Cursor, Plan, make_plan
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY

_BLOCK = 1 << 20


@dg.sensor(
    job=ingest_job,
    minimum_interval_seconds=SENSOR_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="New files in the landing folder: one run a source takes all of them.",
)
def landing_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    settings = installation.settings()
    try:
        sources = Sources.load(settings)
        files = find_landing_files(settings)
    except SettingError as error:
        # The cursor stays: what lands meanwhile is asked for once sources.toml is mended.
        return dg.SensorResult(skip_reason=f"nothing is taken in: {error}")
    if not settings.landing_dir.is_dir() and not sources.places:
        return dg.SensorResult(skip_reason=f"there is no landing folder {settings.landing_dir} yet")
    for run_id in report_dead_runs(context.instance, INGEST_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; its files are asked for again")
    plan = make_plan(
        files,
        read_cursor(context.cursor),
        busy=sources_under_way(context.instance),
        read_ledger=lambda: installation.lake().ledger(),
        content_hash=HashBudget(),
        now=time.time(),
    )
    hour = hour_key(datetime.now(UTC))
    requests = [run_request(batch, hour) for batch in plan.batches]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else why_nothing(plan, settings, sources),
        cursor=plan.cursor.model_dump_json(),
    )


def run_request(batch: Batch, hour: str) -> dg.RunRequest:
    """The run that takes in `batch` in arrival hour `hour`."""
    return dg.RunRequest(
        run_key=batch.run_key,
        partition_key=hour,
        run_config=intake_config(batch.names),
        tags={
            SOURCE_TAG: batch.source,
            FILES_TAG: str(len(batch.files)),
            ATTEMPT_TAG: str(batch.attempt + 1),
            **NO_AUTOMATIC_RETRY,  # this sensor asks again itself, in smaller batches
        },
    )


def why_nothing(plan: Plan, settings: Settings, sources: Sources) -> str:
    """Why this tick asks for no run, in words."""
    reasons = [
        f"{count} file{'s' if count > 1 else ''} of {source} wait for its run to end"
        for source, count in plan.busy.items()
    ]
    reasons += [
        f"{count} file{'s' if count > 1 else ''} of {source} wait for another attempt"
        for source, count in plan.pausing.items()
    ]
    if plan.unreadable:
        reasons.append(f"cannot be read: {_some(plan.unreadable)}. Make it readable for this user")
    if plan.late:
        reasons.append(
            f"not taken in by {MAX_FILE_ATTEMPTS} runs or more: {_some(plan.late)}. Mend what the failed "
            f"runs tell; they are asked for again each hour, and at once by the job `{TAKE_IN_JOB}`"
        )
    reasons += passed_over(settings)
    reasons += [f"source {name}: {reason}" for name, reason in out_of_reach(sources).items()]
    return "; ".join(reasons) or f"no new log files in {settings.landing_dir}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def read_cursor(text: str | None) -> Cursor:
    """The cursor; one that cannot be read (an older version's) is as good as none."""
    try:
        return Cursor.model_validate_json(text) if text else Cursor()
    except ValueError:
        return Cursor()


def sources_under_way(instance: dg.DagsterInstance) -> set[str]:
    """Sources that have an ingest run queued or in progress."""
    runs = instance.get_runs(dg.RunsFilter(job_name=INGEST_JOB, statuses=UNDER_WAY))
    return {run.tags[SOURCE_TAG] for run in runs if SOURCE_TAG in run.tags}


class HashBudget:
    """Content hashes until this tick's time or bytes are used up; the first file is always hashed."""

    def __init__(
        self, seconds: float = HASH_SECONDS_PER_TICK, limit_bytes: int = HASH_BYTES_PER_TICK
    ) -> None:
        self._until = time.monotonic() + seconds
        self._left = limit_bytes
        self._first = True

    def __call__(self, file: LandingFile) -> str | None:
        if not self._first and (time.monotonic() > self._until or file.size_bytes > self._left):
            return None
        self._first = False
        self._left -= file.size_bytes
        try:
            with file.path.open("rb") as handle:
                return content_hash(iter(lambda: handle.read(_BLOCK), b""))
        except OSError:
            return UNREADABLE


def content_hash(blocks: Iterable[bytes]) -> str:
    """As the ledger's file_id: the first 32 hex digits of the SHA-256."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()[:32]
