"""A landing file segment by segment as raw requests with their clients: for intake, and to judge it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from ingest.logs.formats.base import Format, Header, Parsed
from ingest.logs.forwarded import with_client_address
from ingest.logs.landing import Segment
from ingest.sources import Source


@dataclass(frozen=True)
class Part:
    """One segment, read."""

    segment: Segment
    first_line: int
    next_line: int
    parsed: Parsed
    requests: pl.DataFrame  # RAW, `address` the client's also behind proxies of our own


def read(segments: Iterable[Segment], log_format: Format, source: Source) -> Iterator[Part]:
    """Each segment in turn. Raises FileRefused."""
    header: Header = ()
    first_line = 1
    for segment in segments:
        parsed = log_format.parse(segment.body, first_line, header, source.time_zone)
        # Counted apart from the reader, so that a line it lost is noticed.
        lines = segment.body.count(b"\n") + (not segment.body.endswith(b"\n"))
        requests = with_client_address(parsed.requests, source.trusted_proxies)
        yield Part(segment, first_line, first_line + lines, parsed, requests)
        header, first_line = parsed.header, first_line + lines
