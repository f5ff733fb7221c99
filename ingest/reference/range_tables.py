"""Tables of address ranges (CSV, TSV) → ranges with what is said of them, as text.

A row begins with `start,end` (addresses or numbers), a CIDR or one address. What the other columns are is
told by their headings, else by what they hold: iptoasn (start, end, asn, country, name), DB-IP (start, end,
country), `CIDR,country` and the like.
"""

from __future__ import annotations

import re
import socket

import polars as pl

from ingest.logs.numbers import RANGE, ipv4_number
from ingest.reference.address_values import FIELDS, KNOWN_USER_TYPES, RAW_VALUES, Role
from ingest.reference.disjoint import disjoint
from ingest.reference.mmdb import LOW_64, NoDatabase, Read

_HEAD_BYTES = 65_536
_SAMPLE_ROWS = 20_000
_IPV4 = (
    r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
)
_SIZES = {str(length): 2 ** (32 - length) for length in range(33)}
_NOTHING = {"", "-", "?", "None", "ZZ"}  # what tables write for "not known"
_CONTINENTS = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
_COUNTRY, _ASN = re.compile(r"[A-Za-z]{2}"), re.compile(r"(?i:AS)?[0-9]{1,10}")
_MAPPED = 0xFFFF  # ::ffff:a.b.c.d, above its 32 bits


def read_table(text: bytes, role: Role) -> Read:
    """All ranges of a table; where two overlap the narrower one holds. Raises NoDatabase."""
    rows, has_headings = _rows(text)
    width = 2 if _is_range(rows) else 1
    named = _by_heading(rows.columns[width:]) if has_headings else _by_content(rows[:, width:])
    raw = {
        name: pl.col(named[name]) if name in named else pl.lit(None, pl.String) for name in RAW_VALUES[role]
    }
    start, end = _ipv4_ranges(pl.col(rows.columns[0]), pl.col(rows.columns[1]) if width == 2 else None)
    cells = rows.select(
        pl.int_range(pl.len()).alias("line") + (2 if has_headings else 1),
        pl.col(rows.columns[0]).alias("first"),
        (pl.col(rows.columns[1]) if width == 2 else pl.lit(None, pl.String)).alias("second"),
        start.alias("start"),
        end.alias("end"),
        **raw,
    )
    # † In Polars an IPv4 row costs 0.1 µs, in Python a row of another kind 2 µs.
    others = cells.filter(pl.any_horizontal(pl.col("start", "end").is_null()))
    found = [_range(*row) for row in others.select("line", "first", "second").iter_rows()]
    others = others.with_columns(
        pl.DataFrame(found, schema={"version": pl.Int64, **RANGE}, orient="row").get_columns()
    )
    ipv4 = cells.filter(pl.all_horizontal(pl.col("start", "end").is_not_null()))
    ipv4, ipv6 = pl.concat([ipv4, _of(others, 4)]), _of(others, 6)
    for backwards in ipv4.filter(pl.col("start") > pl.col("end"))["line"].head(1):
        raise NoDatabase(f"a table whose line {backwards} ends before it begins")
    # Of a /64 less than its first address: none of it is looked up.
    ipv6 = ipv6.filter(pl.col("start") <= pl.col("end"))
    columns = [*RANGE, *RAW_VALUES[role]]
    shown = rows.columns if has_headings else [f"{cell}" for cell in rows.row(0)]
    return Read(
        "table of address ranges",
        tuple(shown),
        disjoint(ipv4).select(columns),
        disjoint(ipv6).select(columns),
    )


def _of(others: pl.DataFrame, version: int) -> pl.DataFrame:
    return others.filter(pl.col("version") == version).drop("version")


def _rows(text: bytes) -> tuple[pl.DataFrame, bool]:
    """(all cells as text, named by the headings if there are any; whether there are)."""
    head = text[:_HEAD_BYTES]
    first_line = next((line for line in head.splitlines() if line.strip() and not line.startswith(b"#")), b"")
    signs = {sign: first_line.count(sign.encode()) for sign in "\t,;"}
    separator = max(signs, key=lambda sign: signs[sign])
    if b"\0" in head or not signs[separator]:
        raise NoDatabase("neither a MaxMind database nor a table of address ranges (or cut short)")
    try:
        rows = pl.read_csv(
            text,
            has_header=False,
            separator=separator,
            infer_schema=False,
            comment_prefix="#",
            quote_char=None if separator == "\t" else '"',
            encoding="utf8-lossy",
            truncate_ragged_lines=True,
        )
    except pl.exceptions.PolarsError as error:
        raise NoDatabase(f"a table that cannot be read: {str(error).splitlines()[0]}") from error
    if _style(rows[0, 0]) is not None:
        return rows, False
    names = [(cell or f"column {number}").strip().lower() for number, cell in enumerate(rows.row(0), 1)]
    rows = rows[1:]
    if not rows.height or len(set(names)) < len(names) or _style(rows[0, 0]) is None:
        raise NoDatabase(
            f"no table of address ranges: it begins with {first_line[:60].decode('utf-8', 'replace')!r}"
        )
    return rows.rename(dict(zip(rows.columns, names, strict=True))), True


def _style(cell: str | None) -> str | None:
    """How an address is written: address, network, number; None for anything else."""
    text = cell or ""
    if text.isascii() and text.isdigit():
        return "number"
    if re.fullmatch(r"[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?", text) is None or not set(text) & set(".:"):
        return None
    return "network" if "/" in text else "address"


def _is_range(rows: pl.DataFrame) -> bool:
    """Do rows begin with start and end?"""
    return rows.width > 1 and _style(rows[0, 0]) != "network" and _style(rows[0, 0]) == _style(rows[0, 1])


def _by_heading(headings: list[str]) -> dict[str, str]:
    """Raw value → column."""
    found = {}
    for value, names in FIELDS.items():
        present = [name for name in names if name in headings]
        if present:
            found[value] = present[0]
    return found


def _by_content(columns: pl.DataFrame) -> dict[str, str]:
    """Raw value → column, by what the first rows hold."""
    found: dict[str, str] = {}
    is_continent = True  # which is written like a country, and before it
    for name in columns.columns:
        values = set(columns[name].head(_SAMPLE_ROWS).drop_nulls().unique()) - _NOTHING
        if not values:
            continue
        if all(_COUNTRY.fullmatch(value) for value in values):
            if is_continent:
                found["country"], is_continent = name, values <= _CONTINENTS
        elif all(_ASN.fullmatch(value) for value in values):
            found.setdefault("asn", name)
        elif all(value.lower() in KNOWN_USER_TYPES for value in values):
            found.setdefault("user_type", name)
        elif "asn" in found:
            found.setdefault("network", name)
    return found


def _ipv4_ranges(first: pl.Expr, second: pl.Expr | None) -> tuple[pl.Expr, pl.Expr]:
    """(start, end) of the rows in which IPv4 is written with dots, else null."""
    if second is not None:
        return tuple(
            ipv4_number(pl.when(cell.str.contains(f"^{_IPV4}$")).then(cell)) for cell in (first, second)
        )  # type: ignore[return-value]
    address = first.str.extract(f"^({_IPV4})(?:/[0-9]+)?$")
    length = first.str.extract(r"/([0-9]+)$").fill_null("32")
    size = length.replace_strict(_SIZES, default=None, return_dtype=pl.UInt64)
    number = ipv4_number(address)
    start = number - number % size
    return start, start + size - 1


def _range(line: int, first: str | None, second: str | None) -> tuple[int, int, int]:
    """(4 or 6, start, end) of a row, IPv6 by its upper 64 bits. Raises NoDatabase naming the line."""
    try:
        address, _, length = (first or "").strip().partition("/")
        version, start, bits = _number(address)
        if second is None:
            host_bits = bits - int(length) if length else 0
            if not 0 <= host_bits <= (32 if version == 4 else 128):
                raise ValueError(f"/{length} is no length of a network")
            start = start >> host_bits << host_bits
            end = start + (1 << host_bits) - 1
        else:
            last_version, end, _ = _number(second.strip())
            if last_version != version or end < start:
                raise ValueError("it ends before it begins")
    except (OSError, ValueError) as error:
        shown = first if second is None else f"{first}, {second}"
        raise NoDatabase(f"a table whose line {line} is no address range: {shown!r}") from error
    # A /64 belongs to whoever holds its first address: finer than that nothing is looked up.
    return (4, start, end) if version == 4 else (6, (start + LOW_64) >> 64, end >> 64)


def _number(text: str) -> tuple[int, int, int]:
    """(4 or 6, the address as a number, bits as written); mapped IPv4 is IPv4 (R20).

    Raises OSError or ValueError for what is no address.
    """
    if text.isascii() and text.isdigit():
        number = int(text)
        if number < 2**32:
            return 4, number, 32
        packed = number.to_bytes(16, "big") if number < 2**128 else b""
    elif ":" in text:
        packed = socket.inet_pton(socket.AF_INET6, text)
    else:
        return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big"), 32
    number = int.from_bytes(packed, "big")
    if not packed:
        raise ValueError("larger than any address")
    return (4, number & 0xFFFFFFFF, 128) if number >> 32 == _MAPPED else (6, number, 128)
