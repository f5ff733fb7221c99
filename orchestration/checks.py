"""What must hold after an intake: verdicts over the ledger rows (columns of FILES), as pure functions.

A blocking verdict that fails names the file, what is wrong and what to do; the file is held back from the
marts while the other files of the same run count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from ingest.schema import DAY_US, FileStatus
from orchestration.constants import (
    DRIFT_FACTOR,
    DRIFT_HISTORY_DAYS,
    DRIFT_MIN_DAYS,
    EARLIEST_YEAR,
    OPEN_PROBLEM_DAYS,
)

_SHOWN = 20  # files listed in a message; the ledger has them all

_IN_LAKE = pl.col("status").is_in([FileStatus.TAKEN.value, FileStatus.HELD.value])


@dataclass(frozen=True)
class Verdict:
    """One check's outcome; `failing` lists the files it is about."""

    name: str
    passed: bool
    message: str
    failing: pl.DataFrame = field(default_factory=pl.DataFrame)


def lines_accounted_for(files: pl.DataFrame) -> Verdict:
    """Every data line of a file became a request or a reject: lines = requests + rejects."""
    failing = files.filter(_IN_LAKE & (pl.col("lines") != pl.col("requests") + pl.col("rejects")))
    return _verdict(
        "lines_accounted_for",
        failing,
        "every line became a request or a reject",
        "has lines that became neither request nor reject. This is a fault in the reader of its format: "
        "report it with the file; its rows are held back until the file is taken in again",
    )


def times_in_reason(files: pl.DataFrame, now_us: int, max_future_h: float) -> Verdict:
    """First and last request time of a file lie between 2010 and now + `max_future_h`."""
    earliest = int(datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC).timestamp() * 1e6)
    latest = now_us + int(max_future_h * 3600 * 1e6)
    failing = files.filter(
        _IN_LAKE & ((pl.col("first_us") < earliest) | (pl.col("last_us") > latest)).fill_null(False)
    )
    return _verdict(
        "times_in_reason",
        failing,
        f"all times lie between {EARLIEST_YEAR} and {max_future_h:g} h from now",
        "has request times outside reason: look at the clock of the server that wrote it, then deliver it "
        "again or raise EARSHOT_MAX_FUTURE_H",
    )


def reject_share(files: pl.DataFrame, max_share: float) -> Verdict:
    """No file was held back by the intake for having more than `max_share` rejects (and not just a few)."""
    failing = files.filter(pl.col("status") == FileStatus.HELD.value)
    return _verdict(
        "reject_share",
        failing,
        f"no file is held back for more than {max_share:.0%} rejects",
        f"has more than {max_share:.0%} rejects and is held back from the marts: see asset `rejects` for the "
        "lines and reasons. Deliver it mended, or raise EARSHOT_MAX_REJECT_SHARE and materialise this hour "
        "again",
    )


def files_readable(files: pl.DataFrame) -> Verdict:
    """No file was refused as a whole, and none ended in the middle."""
    failing = files.filter(
        (pl.col("status") == FileStatus.REJECTED.value) | pl.col("is_truncated").fill_null(False)
    )
    return _verdict(
        "files_readable",
        failing,
        "every file is a whole log of its source's format",
        "could not be read, or not to its end: deliver it again",
    )


def nothing_held_back(ledger: pl.DataFrame, now_us: int) -> Verdict:
    """No file of the last 30 days is still held back or refused; a later one of its name settles it.

    The checks of an intake judge its own files and are soon followed by the next intake's; this one stays.
    """
    latest = (
        ledger.filter(pl.col("taken_in_us") > now_us - OPEN_PROBLEM_DAYS * DAY_US)
        .sort("taken_in_us")
        .unique(["source", "file_name"], keep="last", maintain_order=True)
    )
    return _verdict(
        "nothing_held_back",
        latest.filter(pl.col("status").is_in([FileStatus.HELD.value, FileStatus.REJECTED.value])),
        f"no file of the last {OPEN_PROBLEM_DAYS} days is held back or refused",
        "does not count: deliver it mended under the same name",
    )


def volume_drift(ledger: pl.DataFrame, sources: Iterable[str], now_us: int) -> Verdict:
    """The last 24 h brought between half and twice the usual number of requests, per source.

    Usual = the median of the same source over the 24 h spans before, up to 14, counted by time of intake. A
    source with fewer than 3 such spans passes: there is nothing to compare with.
    """
    per_span = (
        ledger.lazy()
        .filter(pl.col("source").is_in(list(sources)) & (pl.col("status") == FileStatus.TAKEN.value))
        .with_columns(span=(pl.lit(now_us) - pl.col("taken_in_us")) // DAY_US)
        .filter(pl.col("span").is_between(0, DRIFT_HISTORY_DAYS))
        .group_by("source", "span")
        .agg(pl.col("requests").sum())
    )
    usual = (
        per_span.filter(pl.col("span") > 0)
        .group_by("source")
        .agg(usual=pl.col("requests").median(), spans=pl.len())
        .filter(pl.col("spans") >= DRIFT_MIN_DAYS)
    )
    compared = (
        per_span.filter(pl.col("span") == 0)
        .join(usual, on="source")
        .select("source", "requests", "usual")
        .sort("source")
        .collect()
    )
    drifted = compared.filter(
        (pl.col("requests") > pl.col("usual") * DRIFT_FACTOR)
        | (pl.col("requests") < pl.col("usual") / DRIFT_FACTOR)
    )
    rule = f"requests of the last 24 h against the median of up to {DRIFT_HISTORY_DAYS} such spans before"
    if compared.is_empty():
        return Verdict("volume_drift", True, f"no history yet ({DRIFT_MIN_DAYS} days are needed): {rule}")
    if drifted.is_empty():
        return Verdict("volume_drift", True, f"within a factor of {DRIFT_FACTOR:g}: {rule}")
    told = "; ".join(
        f"{source}: {requests:,} requests, usually {usual:,.0f}"
        for source, requests, usual in drifted.iter_rows()
    )
    return Verdict(
        "volume_drift", False, f"{told}. Are files missing, or delivered twice? Rule: {rule}", drifted
    )


def _verdict(name: str, failing: pl.DataFrame, good: str, bad: str) -> Verdict:
    if failing.is_empty():
        return Verdict(name, True, good)
    listed = "; ".join(
        f"{source}/{file_name} {bad} ({lines:,} lines, {requests:,} requests, {rejects:,} rejects"
        + (f"; {reason})" if reason else ")")
        for source, file_name, lines, requests, rejects, reason in failing.head(_SHOWN)
        .select(
            "source",
            "file_name",
            pl.col("lines", "requests", "rejects").fill_null(0),
            "reason",
        )
        .iter_rows()
    )
    more = f"; and {failing.height - _SHOWN} more" if failing.height > _SHOWN else ""
    return Verdict(name, False, listed + more, failing)
