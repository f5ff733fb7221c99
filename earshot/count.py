"""`earshot count`: the whole method on log files, without a server.

The same cleaning and the same dbt models as production, in a temporary lake and warehouse, with a secret of
its own that is never written down.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from earshot.pipeline import dbt_at_hand, models_done, reading
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import IntakeReport, LandingFile, take_in
from ingest.logs.listeners import KeyRing
from ingest.logs.rules import Rules
from ingest.process import folder_aside
from ingest.schema import FileStatus, SourceClass
from ingest.settings import Settings, Window
from serving.reasons import REDELIVERED

SOURCE = "files"  # the one source all given files belong to


class By(StrEnum):
    """What a row of the answer stands for."""

    EPISODE = "episode"
    SHOW = "show"
    DAY = "day"
    APP = "app"
    COUNTRY = "country"


KEYS: dict[By, dict[str, str]] = {  # column of the answer: expression over int_download_windows
    By.EPISODE: {"show_id": "show_id", "episode_id": "episode_id"},
    By.SHOW: {"show_id": "show_id"},
    By.DAY: {"day": "cast(date as varchar)"},
    By.APP: {"app": "coalesce(app, 'unknown')"},
    By.COUNTRY: {"country": "country"},
}
MEASURES = ["downloads", "listeners", "requests", "bytes"]


class NothingCounted(RuntimeError):
    """No file could be read; the message says why for each."""


@dataclass(frozen=True)
class Lines:
    """Where the lines of one source class went, but for files that are copies of another.

    `lines` = directives + rejects + redelivered + excluded + downloads.
    """

    lines: int
    directives: int
    rejects: int
    redelivered: int
    excluded: dict[str, int]  # requests by reason, most first
    downloads: int

    @property
    def accounted_for(self) -> int:
        return (
            self.directives + self.rejects + self.redelivered + sum(self.excluded.values()) + self.downloads
        )


@dataclass(frozen=True)
class Explanation:
    """Where every line went, by source class (two see the same listening, so nothing is added over them)."""

    by_class: dict[str, Lines]
    copies: list[dict[str, Any]]  # file_name and reason of files that repeat another, which is counted once
    copied_lines: int  # in them, with header and blank lines
    rejects_by_file: list[dict[str, Any]]  # file_name, reason, lines, first_line
    window: str
    lists: list[dict[str, Any]]  # list, version, entries, origin, fetched_on


@dataclass(frozen=True)
class Answer:
    """The rows asked for, what they rest on, and the files that were refused or are odd."""

    rows: list[dict[str, Any]]
    explanation: Explanation
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Question:
    """What to count and how."""

    files: Sequence[Path]
    by: By = By.EPISODE
    window: Window = Window.CALENDAR
    log_format: str = "auto"
    source_class: SourceClass | None = None
    episodes: Path | None = None
    trusted_proxies: int = 0  # of our own, in front of the server that wrote the log


def count(question: Question, settings: Settings, progress: Callable[[str, int, int], None]) -> Answer:
    """Count `question.files`. `progress` gets (step, done, of).

    Raises NothingCounted, CatalogError, SettingError, DbtFailed.
    """
    with folder_aside("earshot-count-") as folder:
        mine = settings.model_copy(
            update={"data": folder, "landing": None, "window": question.window, "max_reject_share": 1.0}
        )
        _declare(mine, question)
        with dbt_at_hand(mine, ["run", "--select", "+fct_downloads", "+fct_exclusions_daily"]) as run_dbt:
            lake = Lake(mine.lake_dir)
            rules = Rules.load(settings)  # of the installation, whose store this leaves alone
            if question.episodes:
                take_in_catalog([question.episodes], lake, rules.prefixes)
            report = take_in(
                [LandingFile.at(SOURCE, path) for path in dict.fromkeys(question.files)],
                mine,
                lake,
                keyring=KeyRing.ephemeral(),
                rules=rules,
                progress=lambda done, of, _: progress("reading", done, of),
            )
            refused = _refused(report)
            if len(refused) == len(question.files):
                raise NothingCounted("\n".join(f"{name}: {reason}" for name, reason in refused))
            progress("counting", 0, 1)
            run_dbt(models_done(partial(progress, "counting")))
        with reading(mine.warehouse) as con:
            rows = _rows(con, question.by, question.window)
            explanation = _explain(con, lake, report, rules, question.window)
        return Answer(rows, explanation, refused, _notes(report))


def _declare(settings: Settings, question: Question) -> None:
    """Tell ingest what the user said of the files, as an operator would."""
    declaration = {
        "format": question.log_format,
        "class": question.source_class,
        "trusted_proxies": question.trusted_proxies,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in declaration.items() if value]
    (settings.data / "sources.toml").write_text("\n".join([f"[{SOURCE}]", *lines]))


def _rows(con: duckdb.DuckDBPyConnection, by: By, window: Window) -> list[dict[str, Any]]:
    keys = KEYS[by]
    named = ", ".join(f"{expression} as {name}" for name, expression in keys.items())
    order = ", ".join(["source_class", *(["day"] if by is By.DAY else ["downloads desc", *keys])])
    cursor = con.execute(
        f"""
        select
            source_class, {named},
            count(*) filter (is_counted) as downloads,
            count(distinct listener_key) filter (is_counted) as listeners,
            cast(sum(requests) as bigint) as requests,
            cast(sum(served_bytes) as bigint) as bytes
        from intermediate.int_download_windows
        where is_{window.value}
        group by source_class, {", ".join(str(n) for n in range(2, 2 + len(keys)))}
        order by {order}
        """
    )
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _explain(
    con: duckdb.DuckDBPyConnection, lake: Lake, report: IntakeReport, rules: Rules, window: Window
) -> Explanation:
    status = pl.col("status")
    taken = report.files.filter(status == FileStatus.TAKEN)
    # The same content given twice is read once.
    copies = report.files.filter(status == FileStatus.DUPLICATE).select("file_id", "file_name", "reason")
    copied = copies.select("file_id").join(taken, on="file_id")
    rejects = (
        lake.rejects()
        .group_by("file_name", "reason")
        .agg(lines=pl.len(), first_line=pl.col("line_number").min())
        .filter(pl.col("first_line") > 0)
        .sort("file_name", "first_line", "reason")
        .collect()
    )
    return Explanation(
        by_class={
            str(name): _lines(con, str(name), files)
            for (name,), files in sorted(taken.partition_by("source_class", as_dict=True).items())
        },
        copies=copies.drop("file_id").to_dicts(),
        copied_lines=_sum(copied, "lines") + _sum(copied, "directives"),
        rejects_by_file=rejects.to_dicts(),
        window=window.value,
        lists=described(rules),
    )


def _lines(con: duckdb.DuckDBPyConnection, source_class: str, files: pl.DataFrame) -> Lines:
    """Where the lines of these files went, all there are of the class."""
    reasons: dict[str, int] = dict(
        con.execute(
            "select reason, cast(sum(requests) as bigint) from marts.fct_exclusions_daily"
            " where source_class = ? group by reason order by 2 desc, 1",
            [source_class],
        ).fetchall()
    )
    downloads = con.execute(
        "select cast(coalesce(sum(downloads), 0) as bigint) from marts.fct_downloads where source_class = ?",
        [source_class],
    ).fetchall()
    return Lines(
        lines=_sum(files, "lines") + _sum(files, "directives"),
        directives=_sum(files, "directives"),
        rejects=_sum(files, "rejects"),
        redelivered=reasons.pop(REDELIVERED, 0),
        excluded=reasons,
        downloads=downloads[0][0],
    )


def described(rules: Rules) -> list[dict[str, Any]]:
    """The lists that judge, as people and JSON want them: list, version, entries, origin, fetched_on."""
    fetched = pl.from_epoch("fetched_us", time_unit="us").dt.date().cast(pl.String)
    lists = rules.described().select(
        "list", pl.col("list_version").alias("version"), "entries", "origin", fetched.alias("fetched_on")
    )
    return lists.to_dicts()


def _sum(files: pl.DataFrame, column: str) -> int:
    return int(files[column].sum())


def _refused(report: IntakeReport) -> list[tuple[str, str]]:
    files = report.files.filter(pl.col("status") == FileStatus.REJECTED)
    return [
        *files.select("file_name", "reason").rows(),
        *((landed.name, reason) for landed, reason in report.changed),
    ]


def _notes(report: IntakeReport) -> list[tuple[str, str]]:
    told_elsewhere = [FileStatus.REJECTED.value, FileStatus.DUPLICATE.value]
    odd = report.files.filter(~pl.col("status").is_in(told_elsewhere) & pl.col("reason").is_not_null())
    cut = report.files.filter(~pl.col("is_comparable")).select("file_name").to_series()
    return [
        *odd.select("file_name", "reason").rows(),
        *((name, "its addresses are cut short: listeners and downloads are too few") for name in cut),
    ]
