"""Who asked: user agents by ordered lists, first match wins.

Bots → apps → libraries → browsers; then devices and operating systems; referrers for browsers only. Source
of the semantics: OPAWG user-agents-v2; the operating systems are our own. Patterns run in Rust (linear time
on any agent text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from ingest.logs.ranges import MAX_REFERRER_CHARS
from ingest.schema import Schema

OPAWG_LISTS = ("bots", "apps", "libraries", "browsers", "devices", "referrers")
OPERATING_SYSTEMS = "operating_systems"
LISTS = (*OPAWG_LISTS, OPERATING_SYSTEMS)
TYPES = {"bots": "bot", "apps": "app", "libraries": "library", "browsers": "browser"}

CLASSIFIED: Schema = {
    "agent": pl.String,
    "agent_type": pl.String,
    "app": pl.String,
    "device": pl.String,
    "device_category": pl.String,
    "os": pl.String,  # one of the names in reference/operating_systems.json, null when unknown
}

REFERRED: Schema = {
    "referrer": pl.String,
    "referrer_app": pl.String,
    "referrer_category": pl.String,  # app | host; null: another site
}

# SEI Robotics makes television sets.
_GENERIC_BOT = r"(?i)bot(?:[^i]|i[^c]|i?$)|crawler|spider"
# Apple's own library, on telephones and computers alike: a device that only it tells says no system.
_TELLS_NO_SYSTEM = "CFNetwork"
# Patterns joined before they are tried one by one: most agents then meet ~60 regexes instead of ~900.
_GROUP = 32


class AgentListError(ValueError):
    """A list that cannot be used; the message names list, entry and reason."""


@dataclass(frozen=True)
class Entry:
    """One line of a list."""

    name: str
    pattern: str
    category: str | None = None
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class AgentRules:
    """The lists in force, each in matching order."""

    lists: dict[str, tuple[Entry, ...]]

    @classmethod
    def of(cls, raw: dict[str, list[dict[str, Any]]]) -> AgentRules:
        """From entries with `name`, `pattern` and optionally `category` and `examples`.

        Raises AgentListError.
        """
        lists = {name: tuple(_entry(name, entry) for entry in raw.get(name, [])) for name in LISTS}
        for name, entries in lists.items():
            _refuse_unusable(name, entries)
        lists["devices"] = _by_their_examples(lists["devices"])
        return cls(lists)


def _entry(list_name: str, entry: dict[str, Any]) -> Entry:
    try:
        examples = tuple(entry.get("examples", ()))
        return Entry(entry["name"], entry["pattern"], entry.get("category"), examples)
    except KeyError as error:
        raise AgentListError(f"{list_name}: entry {entry.get('name')!r} has no {error.args[0]!r}") from error


def _compiles(pattern: str) -> bool:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        return False
    return True


def _refuse_unusable(list_name: str, entries: tuple[Entry, ...]) -> None:
    for start in range(0, len(entries), _GROUP):
        group = entries[start : start + _GROUP]
        if _compiles(_union(group)):
            continue
        for entry in group:
            if not _compiles(entry.pattern):
                try:
                    re.compile(entry.pattern)
                except re.error as error:
                    raise AgentListError(
                        f"{list_name}: the pattern of {entry.name!r} is no regular expression: {error}"
                    ) from error


def _by_their_examples(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Entries in their order; but one that another keeps from its own example goes before that.

    OPAWG tests the order of agents, not of devices: Apple's CFNetwork makes a telephone of its watch.
    """
    examples = [(entry, example) for entry in entries for example in entry.examples]
    found = dict(first_matches(pl.Series([example for _, example in examples], dtype=pl.String), entries))
    ordered = list(entries)
    for row, (entry, _) in enumerate(examples):
        winner = found.get(row, entry)
        if ordered.index(winner) < ordered.index(entry):
            ordered.remove(entry)
            ordered.insert(ordered.index(winner), entry)
    return tuple(ordered)


def _union(entries: tuple[Entry, ...]) -> str:
    return "|".join(f"(?:{entry.pattern})" for entry in entries)


def classify(agents: pl.DataFrame, rules: AgentRules) -> pl.DataFrame:
    """Distinct agents (column agent, String) → CLASSIFIED, in the same order.

    agent_type: app | browser | library | bot | bot_library | unknown | none. `app` is the name of whatever
    entry matched. Bots have no device and no operating system.
    """
    text = agents["agent"].fill_null("")
    types: list[str | None] = [None] * len(text)
    names: list[str | None] = [None] * len(text)
    for list_name, type_ in TYPES.items():
        entries = rules.lists[list_name]
        unmatched = pl.Series([i for i, known in enumerate(types) if known is None], dtype=pl.UInt32)
        for row, entry in first_matches(text.gather(unmatched), entries):
            at = unmatched[row]
            types[at] = "bot_library" if entry.category == "bot" and type_ == "library" else type_
            names[at] = entry.name
    generic = text.str.contains(_GENERIC_BOT)
    for i, type_or_none in enumerate(types):
        if type_or_none is None:
            types[i] = "none" if text[i] in ("", "-") else "bot" if generic[i] else "unknown"
    has_device = pl.Series([i for i, t in enumerate(types) if t not in ("bot", "none")], dtype=pl.UInt32)
    devices: list[Entry | None] = [None] * len(text)
    for row, entry in first_matches(text.gather(has_device), rules.lists["devices"]):
        devices[has_device[row]] = entry
    return pl.DataFrame(
        {
            "agent": agents["agent"],
            "agent_type": types,
            "app": names,
            "device": [device.name if device else None for device in devices],
            "device_category": [device.category if device else None for device in devices],
            "os": _systems(text, has_device, devices, rules),
        },
        schema=CLASSIFIED,
    )


def _systems(
    text: pl.Series, rows: pl.Series, devices: list[Entry | None], rules: AgentRules
) -> list[str | None]:
    """Operating system of these rows of `text`, by what the agent says, else by its device's name."""
    entries = rules.lists[OPERATING_SYSTEMS]
    systems: list[str | None] = [None] * len(text)
    for row, entry in first_matches(text.gather(rows), entries):
        systems[rows[row]] = entry.name
    by_device = [i for i in rows if systems[i] is None and devices[i] and _TELLS_NO_SYSTEM not in text[i]]
    names = pl.Series([device.name for i in by_device if (device := devices[i])], dtype=pl.String)
    for row, entry in first_matches(names, entries):
        systems[by_device[row]] = entry.name
    return systems


def classify_referrers(referrers: pl.Series, rules: AgentRules) -> pl.DataFrame:
    """Distinct referrers of browsers (String, as logged) → REFERRED, in the same order; null: not listed."""
    entries: list[Entry | None] = [None] * len(referrers)
    for row, entry in first_matches(
        referrers.fill_null("").str.slice(0, MAX_REFERRER_CHARS), rules.lists["referrers"]
    ):
        entries[row] = entry
    return pl.DataFrame(
        {
            "referrer": referrers,
            "referrer_app": [entry.name if entry else None for entry in entries],
            "referrer_category": [entry.category if entry else None for entry in entries],
        },
        schema=REFERRED,
    )


def first_matches(texts: pl.Series, entries: tuple[Entry, ...]) -> list[tuple[int, Entry]]:
    """(position, the first entry that matches there), for the texts that any entry matches."""
    found: list[tuple[int, Entry]] = []
    rows = texts.to_frame("text").with_row_index("row")
    for start in range(0, len(entries), _GROUP):
        group = entries[start : start + _GROUP]
        if not rows.height:
            break
        is_hit = _matches(rows["text"], group)
        if is_hit.any():
            hits = rows.filter(is_hit)
            found += [
                (row, group[at])
                for row, at in zip(hits["row"], _first_match(hits["text"], group), strict=True)
            ]
            rows = rows.filter(~is_hit)
    return found


def _first_match(texts: pl.Series, entries: tuple[Entry, ...]) -> pl.Series:
    """Which of `entries` is the first that matches, of texts that one matches. † In one query."""
    text = pl.col("text").str
    tried = (pl.when(text.contains(entry.pattern)).then(at) for at, entry in enumerate(entries))
    try:
        return texts.to_frame("text").select(pl.coalesce(tried)).to_series()
    except pl.exceptions.ComputeError:
        matches = pl.DataFrame([_matches(texts, (entry,)).alias(str(at)) for at, entry in enumerate(entries)])
        return matches.select(pl.concat_list(pl.all()).list.arg_max()).to_series()


def _matches(texts: pl.Series, entries: tuple[Entry, ...]) -> pl.Series:
    """Does any of `entries` match? In Rust, else (look-around, back references) in Python."""
    try:
        return texts.str.contains(_union(entries))
    except pl.exceptions.ComputeError:
        if len(entries) == 1:
            pattern = re.compile(entries[0].pattern)
            return pl.Series([pattern.search(text) is not None for text in texts], dtype=pl.Boolean)
        hits = pl.Series([False] * len(texts), dtype=pl.Boolean)
        for entry in entries:
            hits = hits | _matches(texts, (entry,))
        return hits
