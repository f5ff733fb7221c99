"""MaxMind's database format (.mmdb) → ranges with what is said of them, as text.

The records are decoded by maxminddb's own reader in Python: † its C extension overwrites memory on a damaged
file and takes the process with it. The search tree is walked here, so that each record is decoded once, not
once a network: † 375,000 networks of 60,000 systems in 3 s instead of 7 s.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ingest.logs.numbers import RANGE
from ingest.reference.address_values import RAW_VALUES, Picker, Role

if TYPE_CHECKING:
    import maxminddb

MARKER = b"\xab\xcd\xefMaxMind.com"  # begins the metadata, in the last 128 KiB of a whole file
MARKED_BYTES = 128 * 1024
# A node is met once, but where parts of the tree are shared; a damaged one can lead round and round.
MOST_VISITS, FEW_NODES = 4, 100_000
LOW_64 = 2**64 - 1
_IPV4_BITS = 96  # an IPv6 tree holds IPv4 below ::/96


class NoDatabase(ValueError):
    """Not a readable address database; the message says what was found."""


@dataclass(frozen=True)
class Read:
    """What is in a database."""

    kind: str  # as it calls itself
    fields: tuple[str, ...]  # of a few records, to tell what it is instead of what was wanted
    ipv4: pl.DataFrame  # RANGE and the role's raw values, sorted and disjoint
    ipv6: pl.DataFrame


def read_mmdb(path: Path, role: Role) -> Read:
    """All networks of a database. Raises NoDatabase."""
    import maxminddb  # here: † 0.03 CPU-s that nobody else need wait for

    damage = (
        *(maxminddb.InvalidDatabaseError, ValueError, TypeError, IndexError, KeyError, OverflowError),
        *(struct.error, RecursionError),
    )
    try:
        with maxminddb.open_database(path, maxminddb.MODE_MEMORY) as reader:
            return _read(reader, path.read_bytes(), role)
    except NoDatabase:
        raise
    except damage as error:
        raise NoDatabase(f"a MaxMind database that is damaged: {error}") from error


def _read(reader: maxminddb.Reader, content: bytes, role: Role) -> Read:
    pick = Picker(role)
    values: dict[tuple[str | None, ...], int] = {}
    of_leaf: dict[int, int | None] = {}  # what a leaf leads to: a number in `values`
    fields: dict[str, None] = {}
    columns = {version: (array("Q"), array("Q"), array("Q")) for version in (4, 6)}
    for version, first, last, leaf in _leaves(reader.metadata(), content):
        if leaf not in of_leaf:
            record: Any = reader.get(_address(first, reader.metadata().ip_version))
            of_leaf[leaf] = None
            if isinstance(record, dict):
                of_leaf[leaf] = values.setdefault(pick(record), len(values))
                if len(of_leaf) < 1_000:
                    fields.update(dict.fromkeys(map(str, record)))
        value = of_leaf[leaf]
        if value is None:
            continue
        if version == 6:
            # A /64 belongs to whoever holds its first address: finer than that nothing is looked up.
            first, last = (first + LOW_64) >> 64, last >> 64
            if first > last:
                continue
        starts, ends, numbers = columns[version]
        starts.append(first)
        ends.append(last)
        numbers.append(value)
    table = pl.DataFrame(list(values), schema=dict.fromkeys(RAW_VALUES[role], pl.String), orient="row")
    ipv4, ipv6 = (
        pl.DataFrame(columns[version], schema={**RANGE, "value": pl.UInt64})
        .join(table.with_row_index("value").cast({"value": pl.UInt64}), on="value", maintain_order="left")
        .drop("value")
        for version in (4, 6)
    )
    return Read(f"MaxMind database of type {reader.metadata().database_type}", tuple(fields), ipv4, ipv6)


def _address(first: int, tree: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # In an IPv6 tree from its root, as the leaf was found.
    return ipaddress.IPv4Address(first) if tree == 4 else ipaddress.IPv6Address(first)


def _leaves(about: Any, content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(4 or 6, first and last address, leaf) of every network, in the order of addresses."""
    nodes, bits = about.node_count, 128 if about.ip_version == 6 else 32
    records = _records(content, nodes, about.record_size)
    # Where IPv4 begins; other ways there (6to4, mapped addresses) say the same again.
    ipv4_root = 0
    for _ in range(_IPV4_BITS if bits == 128 else 0):
        if ipv4_root >= nodes:
            break
        ipv4_root = records[2 * ipv4_root]
    stack = [(0, 0, 0)]
    visits = 0
    while stack:
        node, depth, prefix = stack.pop()
        if node < nodes:
            if prefix and node == ipv4_root:
                continue
            visits += 1
            if depth == bits or visits > MOST_VISITS * nodes + FEW_NODES:
                raise NoDatabase("a MaxMind database that is damaged: its search tree loops")
            depth, prefix = depth + 1, prefix << 1
            stack.append((records[2 * node + 1], depth, prefix | 1))
            stack.append((records[2 * node], depth, prefix))
        elif node > nodes:
            free = bits - depth
            first = prefix << free
            last = first | ((1 << free) - 1)
            if first >> 32:
                yield 6, first, last, node
            elif free <= 32:  # what is wider than all of IPv4 says nothing of any one country
                yield 4, first, last, node


def _records(content: bytes, nodes: int, record_bits: int) -> array[int]:
    """The search tree: 2n is where a 0 leads to from node n, 2n + 1 where a 1 does."""
    node_bytes = record_bits // 4
    tree = content[: nodes * node_bytes]
    wide = bytearray(8 * nodes)
    if record_bits == 32:
        wide[:] = tree
    elif record_bits == 24:
        for byte in range(3):
            wide[1 + byte :: 4] = tree[byte::3]
    else:
        # Two records of 28 bits share the byte between them: the left one has its upper half.
        for byte in range(3):
            wide[1 + byte :: 8], wide[5 + byte :: 8] = tree[byte::7], tree[4 + byte :: 7]
        shared = tree[3::7]
        wide[0::8] = shared.translate(bytes(value >> 4 for value in range(256)))
        wide[4::8] = shared.translate(bytes(value & 15 for value in range(256)))
    records = array("I", bytes(wide))
    if sys.byteorder == "little":
        records.byteswap()
    return records
