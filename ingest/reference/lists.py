"""The catalogue of reference lists: what each is, where it comes from by default, how it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from ingest.logs.agents import OPAWG_LISTS, OPERATING_SYSTEMS, AgentListError, AgentRules
from ingest.logs.prefixes import PrefixRules
from ingest.logs.ranges import AddressRanges, ReferenceListError, ReferrerRules
from ingest.reference.address_formats import networks, readable
from ingest.reference.address_lists import AddressList, read_address_list

AGENTS, PREFIXES, DATACENTERS = "agents", "prefixes", "datacenters"
BOGUS_REFERRERS = "bogus_referrers"
EXCLUDED, INCLUDED = "excluded_addresses", "included_addresses"

_OPAWG = "https://raw.githubusercontent.com/opawg"
_AGENT_FILES = tuple(f"{name}.json" for name in OPAWG_LISTS)
MAX_FILE_BYTES = 32 * 2**20  # the largest list known, Azure's, has 4 MB
_MAX_NAME_CHARS = 200

Files = Mapping[str, bytes]  # file name: content


@dataclass(frozen=True)
class Parsed:
    """A list ready for use, and how many entries each of its parts has."""

    rules: Any  # AgentRules, PrefixRules, AddressRanges, ReferrerRules or AddressList
    counts: dict[str, int]

    @property
    def entries(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class ListSpec:
    """One list. Its `read` raises ReferenceListError, which names part, entry and reason."""

    name: str
    what: str
    read: Callable[[Files], Parsed]
    empty: Callable[[], Any]  # its rules where it is absent: they do nothing
    urls: tuple[str, ...] = ()  # where it is published; none: the operator's own
    files: tuple[str, ...] = ()  # a set of these, whole or not at all; none: a file each address
    in_folder: tuple[
        str, ...
    ] = ()  # where in EARSHOT_REFERENCE_DIR; of several alternatives the first there is
    built_in: str | None = None  # our own small list, a file beside this one
    max_age_days: float = 7

    @property
    def is_own(self) -> bool:
        """Written by the operator: it may be empty, and may shrink as its author likes."""
        return not self.urls

    @property
    def has_addresses(self) -> bool:
        """Addresses of listeners: what is kept names none."""
        return self.name in (EXCLUDED, INCLUDED)

    def paths(self, folder: Path) -> list[Path]:
        """Its files in a local folder; empty where the folder holds none of them."""
        there = [folder / name for name in self.in_folder if (folder / name).is_file()]
        if self.files:
            return [folder / name for name in self.in_folder] if there else []
        return there[:1]


def version_of(files: Files) -> str:
    """The version of a list: first 12 hex digits of the SHA-256 over names and contents of its files."""
    digests = [(name, hashlib.sha256(files[name]).hexdigest()) for name in sorted(files)]
    return hashlib.sha256(repr(digests).encode()).hexdigest()[:12]


def read_files(paths: list[Path]) -> dict[str, bytes]:
    """Files of a list from disk. Raises ReferenceListError naming the file."""
    found = {}
    for path in paths:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ReferenceListError(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
            found[path.name] = path.read_bytes()
        except OSError as error:
            whole = f"; wanted are {', '.join(each.name for each in paths)}" if len(paths) > 1 else ""
            raise ReferenceListError(f"{path} cannot be read: {error.strerror}{whole}") from error
    return found


def built_in(file: str) -> bytes:
    """One of our own lists."""
    return resources.files("ingest.reference").joinpath(file).read_bytes()


def _agents(files: Files) -> Parsed:
    raw: dict[str, list[dict[str, Any]]] = {}
    if set(files) == {"agents.json"}:
        raw |= {
            name: _checked(name, list_) for name, list_ in _json("agents.json", files["agents.json"]).items()
        }
    else:
        for name in OPAWG_LISTS:
            content = _json(f"{name}.json", files[f"{name}.json"])
            if not isinstance(content, dict) or "entries" not in content:
                raise ReferenceListError(
                    f"{name}.json: no list of agents: wanted is an object with 'entries'"
                )
            raw[name] = _checked(name, content["entries"])
    systems = _json(OPERATING_SYSTEMS, built_in(f"{OPERATING_SYSTEMS}.json"))["entries"]
    try:
        rules = AgentRules.of(raw | {OPERATING_SYSTEMS: systems})
    except AgentListError as error:
        raise ReferenceListError(str(error)) from error
    return Parsed(rules, {name: len(rules.lists[name]) for name in OPAWG_LISTS if name in raw})


def _checked(name: str, entries: object) -> list[dict[str, Any]]:
    """`entries`, if each is what an entry must be."""
    if not isinstance(entries, list) or not entries:
        raise ReferenceListError(f"{name}: there are no entries")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise ReferenceListError(f"{name}: entry {number} is no object")
        label = entry.get("name")
        if not isinstance(label, str) or not label.strip() or len(label) > _MAX_NAME_CHARS:
            raise ReferenceListError(f"{name}: entry {number} has no usable name: {label!r}"[:300])
        if not label.isprintable():
            raise ReferenceListError(f"{name}: entry {number} has control characters in its name: {label!r}")
        if not isinstance(entry.get("pattern"), str):
            raise ReferenceListError(f"{name}: entry {label!r} has no pattern")
        category, examples = entry.get("category"), entry.get("examples", [])
        if not isinstance(category, str | None):
            raise ReferenceListError(f"{name}: entry {label!r}: category is no text: {category!r}"[:300])
        if not isinstance(examples, list) or not all(isinstance(example, str) for example in examples):
            raise ReferenceListError(f"{name}: entry {label!r}: examples are no list of texts")
    return entries


def _json(name: str, body: bytes) -> Any:
    text = readable_file(name, body)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ReferenceListError(f"{name} is not JSON: {error}") from error


def readable_file(name: str, body: bytes) -> str:
    """The text of a file of a list. Raises ReferenceListError naming it."""
    try:
        return readable(body)
    except ReferenceListError as error:
        raise ReferenceListError(f"{name} is {error}") from error


def _prefixes(files: Files) -> Parsed:
    (name, body), *_ = files.items()
    rules = PrefixRules.of(_json(name, body))
    return Parsed(rules, {PREFIXES: len(rules.known)})


def _datacenters(files: Files) -> Parsed:
    found = {}
    for name, body in files.items():
        try:
            found[name] = networks(body)
        except ReferenceListError as error:
            raise ReferenceListError(f"{name}: {error}") from error
    ranges = AddressRanges.of(network for part in found.values() for network in part)
    return Parsed(ranges, {name: len(part) for name, part in found.items()})


def _bogus_referrers(files: Files) -> Parsed:
    rules = ReferrerRules.of("\n".join(readable_file(name, body) for name, body in files.items()))
    return Parsed(rules, {BOGUS_REFERRERS: rules.entries})


def _addresses(list_name: str) -> Callable[[Files], Parsed]:
    def read(files: Files) -> Parsed:
        texts = [readable_file(name, body) for name, body in files.items()]
        entries = [
            entry for text in texts for entry in read_address_list(text, list_name == INCLUDED).entries
        ]
        return Parsed(AddressList(tuple(entries), list_name == INCLUDED), {list_name: len(entries)})

    return read


LISTS = {
    spec.name: spec
    for spec in (
        ListSpec(
            AGENTS,
            "user agents of bots, apps, libraries, browsers and devices, and referrers of apps (OPAWG)",
            _agents,
            lambda: AgentRules.of({}),
            urls=tuple(f"{_OPAWG}/user-agents-v2/master/src/{file}" for file in _AGENT_FILES),
            files=_AGENT_FILES,
            in_folder=tuple(f"opawg/{file}" for file in _AGENT_FILES),
            built_in="agents.json",
        ),
        ListSpec(
            PREFIXES,
            "redirecting prefixes in enclosure URLs (OPAWG)",
            _prefixes,
            lambda: PrefixRules(()),
            urls=(f"{_OPAWG}/podcast-prefixes/master/src/prefixes.json",),
            in_folder=("opawg/prefixes.json",),
            built_in="prefixes.json",
        ),
        ListSpec(
            DATACENTERS,
            "addresses of data centres, where no listener is",
            _datacenters,
            AddressRanges.of,
            urls=(
                "https://ip-ranges.amazonaws.com/ip-ranges.json",
                "https://www.gstatic.com/ipranges/cloud.json",
                "https://docs.oracle.com/en-us/iaas/tools/public_ip_ranges.json",
            ),
            in_folder=("datacenters.txt", "datacenters.csv", "datacenters.json"),
        ),
        ListSpec(
            BOGUS_REFERRERS,
            "referrers no listener comes from: a host or a pattern a line",
            _bogus_referrers,
            lambda: ReferrerRules(None),
            in_folder=("bogus_referrers.txt",),
        ),
        ListSpec(
            EXCLUDED,
            "addresses and keys of addresses that do not count (R12)",
            _addresses(EXCLUDED),
            AddressList,
            in_folder=("excluded_addresses.csv", "excluded_addresses.txt"),
            max_age_days=90,
        ),
        ListSpec(
            INCLUDED,
            "addresses with many listeners behind them, exempt from the other lists for 90 days (R12)",
            _addresses(INCLUDED),
            lambda: AddressList(expires=True),
            in_folder=("included_addresses.csv", "included_addresses.txt"),
            max_age_days=90,
        ),
    )
}
