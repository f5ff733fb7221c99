"""Lines that cannot be read: their reason and their text, with addresses removed and bounded in size."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ingest.schema import Schema

# What formats and cleaning yield; intake adds file and source (schema.REJECTS).
LINE_REJECTS: Schema = {"line_number": pl.Int64, "reason": pl.String, "text": pl.String}

TEXT_CHARS = 300
# A masked address shrinks at most 4-fold, so a cut here never leaves half an address in the 300 characters.
LOOKED_AT_CHARS = 2_400

_COLON = r"(?::|%3[Aa])"
_DOT = r"(?:\.|%2[Ee])"
_HEX = r"[0-9A-Fa-f]"
IPV4_LIKE = rf"[0-9]{{1,3}}(?:{_DOT}[0-9]{{1,3}}){{3}}"
# `::` anywhere, or at least three groups: `12:34:56` is a time, not an address.
_IPV4_TAIL = rf"(?:{_DOT}[0-9]{{1,3}}){{0,3}}"  # ::ffff:a.b.c.d
IPV6_LIKE = (
    rf"(?:(?:{_HEX}{{1,4}}{_COLON}){{3,7}}(?:{_COLON}?{_HEX}{{0,4}}){{0,5}}"
    rf"|(?:{_HEX}{{1,4}}{_COLON}){{0,6}}{_HEX}{{0,4}}{_COLON}{{2}}(?:{_HEX}{{1,4}}{_COLON}?){{0,7}})"
    rf"{_IPV4_TAIL}"
)
ADDRESS_LIKE = rf"{IPV6_LIKE}|{IPV4_LIKE}"
MASK = "<address>"

# Narrower than what looks like one: an address that stands alone, told from a version or an identifier.
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:{_DOT}{_OCTET}){{3}}"
# A listener's is a global or private one: its first group is whole. `12:34::` is none.
_IPV6 = (
    rf"[23Ff]{_HEX}{{3}}(?:(?:{_COLON}{_HEX}{{1,4}}){{7}}"
    rf"|(?:{_COLON}{_HEX}{{1,4}}){{0,5}}{_COLON}{{2}}(?:{_HEX}{{1,4}}(?:{_COLON}{_HEX}{{1,4}}){{0,5}})?)"
)
ADDRESS = rf"(?:{_IPV6}|{_IPV4})"
_STANDALONE = rf"(^|%{_HEX}{{2}}|[^0-9A-Za-z]){ADDRESS}"  # v1.2.3.4 is a version

_CONTROL = {chr(code): f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]} | {"\t": "\\t"}


def masked(text: pl.Expr) -> pl.Expr:
    """`text` (String) with everything that looks like an IP address replaced by `<address>`."""
    return text.str.replace_all(ADDRESS_LIKE, MASK)


def without_addresses(texts: pl.Series) -> pl.Series:
    """Distinct texts of URLs (String) with each address that stands alone replaced by `<address>`."""
    if not texts.str.contains(_STANDALONE).any():
        return texts
    return texts.str.replace_all(_STANDALONE, f"${{1}}{MASK}")


def shown(text: pl.Expr, chars: int = TEXT_CHARS) -> pl.Expr:
    """The start of `text` (String) as it may be stored: no addresses, no control characters."""
    looked_at = text.str.slice(0, LOOKED_AT_CHARS)
    return masked(looked_at).str.replace_many(_CONTROL).str.slice(0, chars)


_LINE_REJECTS = [
    pl.col("line_number").cast(pl.Int64),
    shown(pl.col("reason")).alias("reason"),
    shown(pl.col("text")).alias("text"),
]


def line_rejects(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` (line_number, reason, text as in the log) as LINE_REJECTS, fit to be stored."""
    return rows.select(_LINE_REJECTS)


def rejects_of(found: Iterable[tuple[int, str, bytes]]) -> pl.DataFrame:
    """(line number, reason, text) as LINE_REJECTS."""
    rows = [(number, reason, text[:8192].decode("utf-8", "replace")) for number, reason, text in found]
    if not rows:
        return pl.DataFrame(schema=LINE_REJECTS)
    return line_rejects(pl.DataFrame(rows, schema=LINE_REJECTS, orient="row"))
