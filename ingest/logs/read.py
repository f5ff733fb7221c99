"""A landing file segment by segment as raw requests with their clients: for intake, and to judge it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ingest.logs.formats.base import Format, Header, Lines, Parsed
from ingest.logs.forwarded import with_client_address
from ingest.logs.landing import Segment
from ingest.sources import Source


@dataclass(frozen=True)
class Part:
    """One segment, read."""

    segment: Segment
    lines: Lines
    parsed: Parsed
    requests: pl.DataFrame  # RAW, `address` the client's also behind proxies of our own

    @cached_property
    def next_line(self) -> int:
        """Number of the first line behind it, not told by the reader, so that a lost line is noticed."""
        return self.lines.first_line + self.lines.count


def read(segments: Iterable[Segment], log_format: Format, source: Source) -> Iterator[Part]:
    """Each segment in turn. Raises FileRefused."""
    header: Header = ()
    first_line = 1
    for segment in segments:
        parsed = log_format.parse(segment.body, first_line, header, source.time_zone)
        requests = with_client_address(parsed.requests, source.trusted_proxies)
        part = Part(segment, Lines(segment.body, first_line), parsed, requests)
        yield part
        header, first_line = parsed.header, part.next_line
