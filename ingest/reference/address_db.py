"""The user's address databases as sorted tables of ranges, converted once a version.

    <data>/reference/address_db/<content hash>/<role>.{ipv4,ipv6,names}.parquet  <role>.json

The JSON file is written last: without it the others are nobody's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl

from ingest.durable import write_atomically
from ingest.lake import write_parquet
from ingest.logs.errors import FileRefused
from ingest.logs.numbers import RANGE
from ingest.logs.unpack import Unpacked, unpack
from ingest.reference.address_values import Role, merged, normalised
from ingest.reference.mmdb import MARKED_BYTES, MARKER, NoDatabase, Read, read_mmdb
from ingest.reference.range_tables import read_table
from ingest.schema import Schema
from ingest.settings import SettingError, Settings

LAYOUT = 1  # raised when what is written below changes its meaning
KEPT_VERSIONS = 4
ABSENT = "none"  # version of a database that nobody has set
MOST_TABLE_BYTES = 4 * 2**30  # the largest published have a tenth of that
ALLOWED = {
    Role.COUNTRY: (
        "a database of countries: MaxMind, DB-IP, IPinfo or IPLocate .mmdb (Country, City, Enterprise), "
        "or a table start,end,country or CIDR,country (CSV, TSV), also as .gz"
    ),
    Role.NETWORK: (
        "a database of networks: MaxMind, DB-IP, IPinfo or IPLocate .mmdb (ASN, ISP, Enterprise, "
        "Connection-Type), or a table start,end,asn,name such as iptoasn's (CSV, TSV), also as .gz"
    ),
}
_LACKING = {Role.COUNTRY: "no country", Role.NETWORK: "no autonomous system and no kind of network"}
_VALUES: dict[Role, Schema] = {
    Role.COUNTRY: {"country": pl.String},
    Role.NETWORK: {"asn": pl.Int64, "network_kind": pl.String},
}
_NAMES: Schema = {"asn": pl.Int64, "network": pl.String}
_TABLES = ("ipv4", "ipv6", "names")


@dataclass(frozen=True)
class AddressTable:
    """One database in one role; sorted, disjoint ranges."""

    version: str  # first 12 hex digits of the SHA-256 of the file; "none" without one
    origin: str | None  # what it is and where it lies
    ipv4: pl.DataFrame  # RANGE and country, or asn and network_kind
    ipv6: pl.DataFrame
    names: pl.DataFrame  # asn, network

    @classmethod
    def absent(cls, role: Role) -> AddressTable:
        """Of a database that nobody has set: it knows no address."""
        nothing = pl.DataFrame(schema=RANGE | _VALUES[role])
        return cls(ABSENT, None, nothing, nothing, pl.DataFrame(schema=_NAMES))

    @property
    def entries(self) -> int:
        """Number of ranges."""
        return self.ipv4.height + self.ipv6.height


def load(role: Role, path: Path | None, settings: Settings) -> AddressTable:
    """The database at `path`, converted if this version of it was not yet. Raises SettingError."""
    if path is None:
        return AddressTable.absent(role)
    try:
        with path.open("rb") as handle:
            before = os.fstat(handle.fileno())
            content = hashlib.file_digest(handle, "sha256").hexdigest()
        folder = settings.data / "reference" / "address_db" / content[:32]
        table = _cached(folder, role, content[:12], path)
        if table is None:
            read = _read(path, role, settings)
            if _identity(before) != _identity(path.stat()):
                raise NoDatabase("it changed while it was read: try again")
            _store(folder, role, read)
            table = _cached(folder, role, content[:12], path)
    except OSError as error:
        raise _unusable(role, path, f"{error.strerror or error}") from error
    except (NoDatabase, FileRefused) as error:
        raise _unusable(
            role, path, f"found {error}" if isinstance(error, NoDatabase) else f"{error}"
        ) from error
    assert table is not None
    return table


def _unusable(role: Role, path: Path, found: str) -> SettingError:
    name = f"EARSHOT_{role.value.upper()}_DB"
    return SettingError(f"setting {name} = '{path}' cannot be used: {found}; allowed is {ALLOWED[role]}")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path, role: Role, settings: Settings) -> Read:
    """All ranges of a file of any kind. Raises NoDatabase, also for one without what the role needs."""
    with _plain(path, settings) as plain:
        read = read_mmdb(plain, role) if _is_mmdb(plain) else read_table(_whole(plain), role)
    ipv4, ipv6 = (normalised(part, role) for part in (read.ipv4, read.ipv6))
    if not any(part[name].count() for part in (ipv4, ipv6) for name in _VALUES[role]):
        fields = ", ".join(field[:40] for field in read.fields[:12])
        raise NoDatabase(f"{_LACKING[role]}: it is a {read.kind} with {fields or 'no records'}")
    return Read(read.kind, read.fields, ipv4, ipv6)


@contextlib.contextmanager
def _plain(path: Path, settings: Settings) -> Iterator[Path]:
    """The file unpacked: itself, or a temporary one. Raises NoDatabase and FileRefused."""
    with path.open("rb") as handle:
        head = handle.read(4)
        handle.seek(0)
        if not head:
            raise NoDatabase("an empty file")
        if head[:2] != b"\x1f\x8b" and head != b"\x28\xb5\x2f\xfd":
            for _ in unpack(handle, Unpacked(), settings):  # refuses other packings
                break
            yield path
            return
        unpacked = Unpacked()
        with tempfile.NamedTemporaryFile(prefix="earshot-", suffix=".db") as out:
            for chunk in unpack(handle, unpacked, settings):
                out.write(chunk)
            if unpacked.is_truncated:
                raise NoDatabase(f"a packed file that is cut short: {unpacked.oddity}")
            out.flush()
            yield Path(out.name)


def _is_mmdb(path: Path) -> bool:
    with path.open("rb") as handle:
        if handle.read(263)[257:262] == b"ustar":
            raise NoDatabase("a tar archive: set the .mmdb file inside it")
        handle.seek(max(0, path.stat().st_size - MARKED_BYTES))
        return MARKER in handle.read()


def _whole(path: Path) -> bytes:
    if path.stat().st_size > MOST_TABLE_BYTES:
        raise NoDatabase(f"a table of more than {MOST_TABLE_BYTES} bytes")
    return path.read_bytes()


def _store(folder: Path, role: Role, read: Read) -> None:
    values = list(_VALUES[role])
    names = pl.DataFrame(schema=_NAMES)
    if role is Role.NETWORK:
        # One name an autonomous system: the one most of its ranges have, of several the first by alphabet.
        named = pl.concat([read.ipv4, read.ipv6]).drop_nulls(["asn", "network"])
        names = (
            named.group_by("asn", "network")
            .len()
            .sort("asn", "len", "network", descending=[False, True, False])
            .unique("asn", keep="first", maintain_order=True)
            .select(list(_NAMES))
        )
    tables = {
        version: merged(part.select(*RANGE, *values).filter(pl.any_horizontal(pl.col(values).is_not_null())))
        for version, part in (("ipv4", read.ipv4), ("ipv6", read.ipv6))
    }
    for name, table in (tables | {"names": names}).items():
        write_parquet(table, folder / f"{role.value}.{name}.parquet")
    write_atomically(folder / f"{role.value}.json", orjson.dumps({"layout": LAYOUT, "kind": read.kind}))
    _forget_old(folder)


def _cached(folder: Path, role: Role, version: str, path: Path) -> AddressTable | None:
    """The tables of an earlier conversion; None where there are none, or not whole."""
    try:
        about = orjson.loads((folder / f"{role.value}.json").read_bytes())
        if about["layout"] != LAYOUT:
            return None
        tables = (pl.read_parquet(folder / f"{role.value}.{name}.parquet") for name in _TABLES)
        return AddressTable(version, f"{about['kind']}, {path}", *tables)
    except (FileNotFoundError, orjson.JSONDecodeError, pl.exceptions.PolarsError):
        return None


def _forget_old(folder: Path) -> None:
    """Conversions of earlier versions are made again where they are needed."""
    versions = [other for other in folder.parent.iterdir() if other.is_dir() and other != folder]
    for old in sorted(versions, key=lambda other: other.stat().st_mtime_ns, reverse=True)[KEPT_VERSIONS:]:
        shutil.rmtree(old, ignore_errors=True)
