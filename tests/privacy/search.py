"""Every byte of a folder, and every value packed in it, searched for addresses in any form."""

from __future__ import annotations

import base64
import contextlib
import gzip
import ipaddress
import json
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import duckdb
import polars as pl
import zstandard


def forms(address: str) -> dict[str, bytes]:
    """What an address may look like: form → bytes, in lower case."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        texts = {
            "dotted": str(ip),
            "padded": ".".join(f"{octet:03}" for octet in ip.packed),
            "percent": str(ip).replace(".", "%2e"),
            "mapped": f"{ip.packed[0]:x}{ip.packed[1]:02x}:{ip.packed[2]:x}{ip.packed[3]:02x}",
            "dashed": str(ip).replace(".", "-"),
            "hex": ip.packed.hex(),
            "number": str(int(ip)),
        }
        packed: dict[str, bytes] = {}  # four bytes come by chance
        whole = [str(ip)]
    else:
        upper = ip.exploded.split(":")[:4]
        short = ":".join(f"{int(group, 16):x}" for group in upper)
        texts = {
            "groups": short,
            "padded": ":".join(upper),
            "percent": short.replace(":", "%3a"),
            "percent, padded": ":".join(upper).replace(":", "%3a"),
            "canonical": "".join(upper),
            "number": str(int(ip)),
            "signed": str(int.from_bytes(ip.packed[:8], "big", signed=True)),
        }
        packed = {"packed": ip.packed[:8], "packed, little": ip.packed[:8][::-1]}
        whole = [short, ip.exploded]
    found = {name: text.encode() for name, text in texts.items()} | packed
    for number, text in enumerate(whole):
        found[f"hex of text {number}"] = text.encode().hex().encode()
        for shift in range(3):  # where in a group of three bytes it may begin
            coded = base64.b64encode(b"\x00" * shift + text.encode())
            # Without the characters that depend on what stands before and after.
            found[f"base64 {number}.{shift}"] = coded[-(-shift * 8 // 6) : len(text) * 8 // 6].lower()
    return found


def found_in(content: bytes, addresses: list[str]) -> list[str]:
    """Which addresses are in it, in which form."""
    lower = content.lower()
    return [
        f"{address} ({form})"
        for address in addresses
        for form, needle in forms(address).items()
        if needle in (content if form.startswith("packed") else lower)
    ]


def search(folder: Path, addresses: list[str], without: tuple[str, ...] = ()) -> list[str]:
    """`path: address (form)` of all files below but those in folders called as in `without`."""
    told = []
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and not set(without) & set(path.relative_to(folder).parts)
        ):
            hits = {hit for content in contents(path) for hit in found_in(content, addresses)}
            told += [f"{path.relative_to(folder)}: {hit}" for hit in sorted(hits)]
    return told


def contents(path: Path) -> Iterator[bytes]:
    """What a file holds: its bytes, what they pack, and what they say."""
    raw = path.read_bytes()
    yield raw
    if raw[:4] == b"PAR1":
        frame = pl.read_parquet(path, hive_partitioning=False)
        yield frame.write_ndjson().encode()
        yield json.dumps(pl.read_parquet_metadata(path)).encode()
    elif path.suffix == ".duckdb" or raw[8:12] == b"DUCK":
        yield from _tables(path)
    elif raw.startswith(b"SQLite format 3"):
        yield from _rows(path)
    elif raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    elif raw[:4] == b"\x28\xb5\x2f\xfd":
        yield zstandard.ZstdDecompressor().stream_reader(raw).read()
    elif tarfile.is_tarfile(path):
        yield from _members(path)
    else:
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(raw)
    text = raw.decode("utf-8", "ignore")
    yield unquote(text).encode()
    if "\\u" in text:
        yield text.encode().decode("unicode_escape", "ignore").encode()


def _tables(path: Path) -> Iterator[bytes]:
    with duckdb.connect(str(path), read_only=True) as con:
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall():
            rows = con.execute(f'select * from "{schema}"."{table}"').fetchall()
            yield "\n".join(map(repr, rows)).encode()


def _rows(path: Path) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(path)) as con:
        tables = con.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            yield "\n".join(map(repr, con.execute(f'select * from "{table}"').fetchall())).encode()


def _members(path: Path) -> Iterator[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")
        for each in Path(folder).rglob("*"):
            if each.is_file():
                yield from contents(each)
