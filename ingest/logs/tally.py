"""What came out of one file: figures for its ledger row, and its rejects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from ingest.logs.formats.base import Lines
from ingest.logs.rejects import LINE_REJECTS, MASK, line_rejects
from ingest.schema import REJECTS, FileStatus, conform
from ingest.settings import Settings


@dataclass
class Tally:
    """What came out of one file so far."""

    next_line: int = 1
    requests: int = 0
    directives: int = 0
    erased: int = 0  # lines of somebody who is on the suppression list: as if they had never been there
    expired: int = 0  # lines of before, whose requests were removed for their age: no rejects
    forwarded: int = 0  # requests that came with X-Forwarded-For
    rejects: list[pl.DataFrame] = field(default_factory=list)  # LINE_REJECTS
    first_us: int | None = None
    last_us: int | None = None
    days: set[date] = field(default_factory=set)
    written: set[Path] = field(default_factory=set)

    @property
    def lines(self) -> int:
        """Lines that are neither header nor blank."""
        return self.next_line - 1 - self.directives

    def add_requests(self, requests: pl.DataFrame) -> None:
        """Count REQUESTS in."""
        self.requests += requests.height
        if requests.height:
            first, last = requests["started_us"].min(), requests["started_us"].max()
            assert isinstance(first, int) and isinstance(last, int)
            self.first_us = first if self.first_us is None else min(first, self.first_us)
            self.last_us = last if self.last_us is None else max(last, self.last_us)

    def verdict(self, rejects: int, format_name: str, settings: Settings) -> tuple[FileStatus, str | None]:
        """Whether what was read counts, and if not, why."""
        if rejects >= settings.min_rejects_to_hold and rejects > settings.max_reject_share * self.lines:
            return FileStatus.HELD, (
                f"{rejects} of {self.lines} lines could not be read, "
                f"more than a share of {settings.max_reject_share:g} (setting max_reject_share)"
            )
        if self.lines != self.requests + rejects + self.erased + self.expired:
            return FileStatus.HELD, (
                f"{self.lines - self.erased} lines became {self.requests} requests and {rejects} rejects: "
                f"a fault in the reader of {format_name}, please report it"
            )
        return FileStatus.TAKEN, None

    def stored_rejects(self, file_id: str, source: str, file_name: str) -> pl.DataFrame:
        """All rejects of the file as REJECTS, by line."""
        found = [rejects for rejects in self.rejects if rejects.height]
        if not found:
            return pl.DataFrame(schema=REJECTS)
        rejects = pl.concat(found)
        known = {"file_id": file_id, "source": source, "file_name": file_name}
        named = rejects.with_columns(pl.lit(value).alias(name) for name, value in known.items())
        return conform(named, REJECTS).sort("line_number", "reason").collect()


def refused_lines(refused: pl.DataFrame, lines: Lines) -> pl.DataFrame:
    """What cleaning refused (line_number, reason, address) as LINE_REJECTS, the address cut out of the text.

    It could not be read as an address, so no pattern would find it there.
    """
    if not refused.height:
        return pl.DataFrame(schema=LINE_REJECTS)
    texts = zip(lines.texts(refused["line_number"]), refused["address"], strict=True)
    cut = [text.replace(address, MASK) if address else text for text, address in texts]
    return line_rejects(refused.select("line_number", "reason", pl.Series("text", cut, dtype=pl.String)))
