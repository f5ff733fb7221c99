"""What a restatement does before the marts are built: for the command line and the Dagster asset alike.

Imports no Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl

from ingest.lake import Lake, utc_now_us
from ingest.logs.restate import RestateReport, restate_days
from ingest.logs.rules import Rules
from ingest.settings import Settings
from serving.former_figures import former_figures

# No log is older, and no request later than an intake allows: a span may be open at both ends.
EARLIEST = date(2010, 1, 1)

Progress = Callable[[str, int, int], None]  # (step, done, of)


def days_between(first: date, last: date) -> list[date]:
    """The UTC days from `first` to `last`, both included. Raises ValueError for the wrong way round."""
    if first > last:
        raise ValueError(f"--from {first} lies after --to {last}")
    first = max(first, EARLIEST)
    last = min(last, datetime.now(UTC).date() + timedelta(days=2))
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def judge_again(
    settings: Settings, lake: Lake, days: list[date], rules: Rules, progress: Progress
) -> tuple[RestateReport, int]:
    """Keep the published figures around `days`, then judge those of `days` again; when (epoch µs)."""
    now_us = utc_now_us()
    figures = former_figures(settings.published_dir / "current" / "marts.duckdb", days[0], days[-1])
    if figures.height:
        lake.write_former_figures(
            figures.with_columns(
                restated_us=pl.lit(now_us),
                first_day=pl.lit(days[0]),
                last_day=pl.lit(days[-1]),
                rules_version=pl.lit(rules.version),
            )
        )

    def shown(done: int, of: int, _name: str) -> None:
        progress("judging again", done, of)

    report = restate_days(days, settings, lake, rules, shown, now_us=now_us)
    lake.finish_restatements(now_us)
    return report, now_us
