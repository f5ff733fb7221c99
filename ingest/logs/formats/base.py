"""What every format module shares: the protocol, and the way from loosely typed fields to RAW or a reject."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import polars as pl
import polars_hash as _polars_hash  # noqa: F401  registers .nchash

from ingest.logs.cut import newlines
from ingest.logs.rejects import LINE_REJECTS, line_rejects
from ingest.schema import RAW, Schema, SourceClass

Header = tuple[str, ...]  # field names in force; () where each line names its own
UTC = "UTC"


@dataclass(frozen=True)
class Parsed:
    """One segment: lines == requests.height + rejects.height, and `directives` header and blank lines."""

    requests: pl.DataFrame  # RAW
    rejects: pl.DataFrame  # LINE_REJECTS
    directives: int
    header: Header  # for the next segment

    @property
    def lines(self) -> int:
        """All lines of the segment."""
        return self.requests.height + self.rejects.height + self.directives


@dataclass(frozen=True)
class Traits:
    """What the lines of a format can carry, which decides what may be declared of its sources."""

    forwarded_for: bool = True  # X-Forwarded-For
    local_times: bool = False  # times may be written without a zone
    whole_addresses: bool = True  # false: cut short by the CDN unless its operator switched that off


class Format(Protocol):
    """A log format; each module of this folder is one."""

    @property
    def NAME(self) -> str: ...

    @property
    def SOURCE_CLASS(self) -> SourceClass: ...

    @property
    def TRAITS(self) -> Traits: ...

    def sniff(self, head: bytes) -> bool:
        """Is this the format of a file that begins with `head`?"""
        ...

    def parse(self, body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
        """Read whole lines; times without a zone are of `zone` (only where TRAITS.local_times).

        Raises FileRefused when a needed field is in no line of such a file.
        """
        ...


# What a format builds from its fields. `*_text` is as logged, for the reason of a reject.
LOOSE: Schema = {name: dtype for name, dtype in RAW.items() if name not in ("started_us", "line_hash")} | {
    "time_text": pl.String,
    "ended_us": pl.Int64,  # null: unreadable
    "took_us": pl.Int64,  # null: unreadable; 0 where the log tells the start
    "took_text": pl.String,
    "status": pl.String,
    "bytes_sent": pl.String,
}

_STRIDE = 1 << 17
EARLIEST_US, LATEST_US = 0, 4_102_444_800_000_000  # 1970 and 2100: outside, the arithmetic means nothing
MOST_STATUS = 9_999


class Lines:
    """The lines of a body by number. † A few among 30,000: found in 3 ms, where splitting it costs 8 ms."""

    def __init__(self, body: bytes, first_line: int) -> None:
        self.body, self.first_line = body, first_line

    @cached_property
    def all(self) -> list[bytes]:
        split = self.body.split(b"\n")
        if not split[-1]:
            split.pop()  # what follows the last newline is no line
        return split

    @property
    def count(self) -> int:
        """How many there are; what follows the last newline is one too."""
        return newlines(self.body) + (not self.body.endswith(b"\n"))

    def texts(self, numbers: pl.Series) -> pl.Series:
        """The text of the lines with these numbers (Int64), as far as it may matter."""
        texts = (self._line(number - self.first_line).decode("utf-8", "replace") for number in numbers)
        return pl.Series("text", list(texts), dtype=pl.String)

    @cached_property
    def _newlines_before(self) -> list[int]:
        """Before each `_STRIDE` of the body."""
        starts = range(0, len(self.body), _STRIDE)
        counts = (newlines(self.body, start, start + _STRIDE) for start in starts)
        return list(accumulate(counts, initial=0))

    def _line(self, row: int) -> bytes:
        if len(self.body) <= _STRIDE:  # as the few lines are that the compiled reader leaves over
            return self.all[row][:8192]
        start = 0
        if row:
            stride = bisect_left(self._newlines_before, row) - 1  # the one with the newline before the line
            start = stride * _STRIDE
            for _ in range(row - self._newlines_before[stride]):
                start = self.body.index(b"\n", start) + 1
        end = self.body.find(b"\n", start)
        return self.body[start : min(end if end >= 0 else len(self.body), start + 8192)]

    def hashes(self, numbers: pl.Series) -> pl.Series:
        """xxh3 of the lines with these numbers, as signed integers."""
        lines = pl.DataFrame({"line": pl.Series(self.all, dtype=pl.Binary)})
        hashes = lines.select(pl.col("line").nchash.xxh3_64().reinterpret(signed=True))  # type: ignore[attr-defined]
        return hashes["line"].gather(numbers - self.first_line)


def seconds_to_us(text: pl.Expr) -> pl.Expr:
    """Decimal seconds → whole microseconds. Rounded: 1756720000.123 as a float lies just below."""
    seconds = text.cast(pl.Float64, strict=False)
    return pl.when(seconds.is_finite() & (seconds.abs() < 1e11)).then(
        (seconds * 1e6).round().cast(pl.Int64, strict=False)
    )


def as_loose(fields: pl.DataFrame, columns: dict[str, pl.Expr]) -> pl.DataFrame:
    """`fields` (with line_number) as LOOSE, by what each of its columns is made of; the others are null."""
    made = {"line_number": pl.col("line_number"), **columns}
    return fields.select(
        made.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in LOOSE.items()
    )


def given(name: str) -> pl.Expr:
    """The text of a field (String), null where it says that there is none."""
    return pl.when(~pl.col(name).is_in(["", "-"])).then(pl.col(name))


def url_parts(url: pl.Expr) -> dict[str, pl.Expr]:
    """path and query of a request's URL (`/path?query`), as on the wire."""
    parts = url.str.splitn("?", 2).struct
    return {"path": parts.field("field_0"), "query": parts.field("field_1")}


_CONTENT_RANGE = r"^bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)$"


def served_range(content_range: pl.Expr) -> dict[str, pl.Expr]:
    """range_start, range_end and resource_bytes as a response's Content-Range tells them."""
    groups = content_range.str.extract_groups(_CONTENT_RANGE).struct
    names = {"range_start": "1", "range_end": "2", "resource_bytes": "3"}
    return {name: whole_number(groups.field(group)) for name, group in names.items()}


def whole_number(text: pl.Expr) -> pl.Expr:
    """A whole number, null for anything else."""
    return text.cast(pl.Int64, strict=False)


def zero_for_dash(text: pl.Expr) -> pl.Expr:
    """`-` → `0`."""
    return pl.when(text == "-").then(pl.lit("0")).otherwise(text)


def finish(
    loose: pl.DataFrame, lines: Lines, earlier_rejects: pl.DataFrame, directives: int, header: Header
) -> Parsed:
    """Cast what must be a number or a time; where that fails the line is a reject with a plain reason."""
    # In one chunk: Polars 2.1 panics when a string expression meets an empty chunk, which a filter may leave.
    cast = loose.rechunk().with_columns(
        pl.col("status").alias("status_text"),
        pl.col("bytes_sent").alias("bytes_text"),
        whole_number(pl.col("status")).alias("status"),
        whole_number(pl.col("bytes_sent")).alias("bytes_sent"),
        (pl.col("ended_us") - pl.col("took_us")).alias("started_us"),
    )
    is_good = (
        pl.col("started_us").is_between(EARLIEST_US, LATEST_US)
        & (pl.col("took_us") >= 0)
        & pl.col("status").is_between(0, MOST_STATUS)
        & (pl.col("bytes_sent") >= 0)
    ).fill_null(False)
    judged = cast.select(is_good).to_series()
    good, rejects = cast, earlier_rejects
    if not judged.all():
        good, bad = cast.filter(judged), cast.filter(~judged)
        bad = bad.select("line_number", _REASON.alias("reason"), lines.texts(bad["line_number"]))
        rejects = pl.concat([earlier_rejects, line_rejects(bad)]).sort("line_number")
    return Parsed(_raw(good, lines), rejects, directives, header)


def _reason() -> pl.Expr:
    def wrong(name: str, text: str) -> list[tuple[pl.Expr, pl.Expr]]:
        number, as_logged = whole_number(pl.col(text)), pl.col(text)
        return [
            (as_logged.is_null() | (as_logged == ""), pl.lit(f"{name} is missing")),
            (number.is_null(), _quoting(f"{name} is not a number", as_logged)),
            (number < 0, _quoting(f"{name} is negative", as_logged)),
        ]

    cases = [
        (pl.col("time_text").is_null() | (pl.col("time_text") == ""), pl.lit("time is missing")),
        (pl.col("ended_us").is_null(), _quoting("time is impossible", pl.col("time_text"))),
        (pl.col("took_us").is_null(), _quoting("time taken is not a number", pl.col("took_text"))),
        (pl.col("took_us") < 0, _quoting("time taken is negative", pl.col("took_text"))),
        (
            ~pl.col("started_us").is_between(EARLIEST_US, LATEST_US),
            _quoting("time is impossible", pl.col("time_text")),
        ),
        *wrong("status", "status_text"),
        *wrong("bytes", "bytes_text"),
    ]
    reason = pl.lit("unreadable: " + "status is impossible")
    for condition, text in reversed(cases):
        reason = pl.when(condition).then(text).otherwise(reason)
    return reason


def _quoting(what: str, value: pl.Expr) -> pl.Expr:
    return pl.format("{}: '{}'", pl.lit(what), value.fill_null("").str.slice(0, 60))


_REASON = _reason()  # once: to put it together costs what it costs on a block's few bad lines


def _raw(good: pl.DataFrame, lines: Lines) -> pl.DataFrame:
    """LOOSE, checked → RAW."""
    without_id = good.filter(pl.col("request_id").is_null())["line_number"]
    line_hash = pl.lit(None, pl.Int64)
    if without_id.len():
        hashed = pl.DataFrame({"line_number": without_id, "line_hash": lines.hashes(without_id)})
        good = good.join(hashed, on="line_number", how="left", maintain_order="left")
        line_hash = pl.col("line_hash")
    return good.select(
        [
            (line_hash if name == "line_hash" else pl.col(name)).cast(dtype).alias(name)
            for name, dtype in RAW.items()
        ]
    )


def no_rejects() -> pl.DataFrame:
    """An empty frame of LINE_REJECTS."""
    return pl.DataFrame(schema=LINE_REJECTS)


def no_requests() -> pl.DataFrame:
    """An empty frame of RAW."""
    return pl.DataFrame(schema=RAW)


def joined(parts: list[Parsed], header: Header) -> Parsed:
    """Consecutive parts of a segment as one."""
    if len(parts) == 1:
        return parts[0]
    return Parsed(
        pl.concat([part.requests for part in parts]) if parts else no_requests(),
        pl.concat([part.rejects for part in parts]) if parts else no_rejects(),
        sum(part.directives for part in parts),
        header,
    )


_INVALID = re.compile("[\udc80-\udcff]+")  # how surrogateescape shows bytes that are not UTF-8


_BLOCK = 1 << 14


def as_utf8(body: bytes) -> bytes:
    """`body` as valid UTF-8: each byte that is not (a raw 0xE9 in a URL) is percent-encoded.

    In blocks of whole lines: a few bad bytes must not cost a pass over the whole segment.
    """
    if body.isascii():
        return body
    blocks, start, is_whole = [], 0, True
    while start < len(body):
        end = body.find(b"\n", start + _BLOCK) + 1 or len(body)
        block = body[start:end]
        if not block.isascii() and not _is_utf8(block):
            is_whole = False
            text = block.decode("utf-8", "surrogateescape")
            block = _INVALID.sub(_percent_encoded, text).encode("utf-8")
        blocks.append(block)
        start = end
    return body if is_whole else b"".join(blocks)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _percent_encoded(run: re.Match[str]) -> str:
    return "%" + run[0].encode("utf-8", "surrogateescape").hex("%").upper()
