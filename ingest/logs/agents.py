"""Who asked: user agents by ordered lists, first match wins.

Bots → apps → libraries → browsers; then devices and operating systems; referrers for browsers only. Source
of the semantics: OPAWG user-agents-v2; the operating systems are our own. Patterns run in Rust (linear time
on any agent text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
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
    found = first_matches(pl.Series([example for _, example in examples], dtype=pl.String), entries)
    ordered = list(entries)
    for at, (entry, _) in zip(found, examples, strict=True):
        winner = entry if at is None else entries[at]
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
    frame = text.to_frame("text").with_columns(
        agent_type=pl.lit(None, pl.String), app=pl.lit(None, pl.String), row=pl.int_range(pl.len())
    )
    for list_name, type_ in TYPES.items():
        unknown = frame.filter(pl.col("agent_type").is_null())
        found = first_matches(unknown["text"], rules.lists[list_name])
        is_bot_library = pl.lit(type_ == "library") & (pl.col("category") == "bot").fill_null(False)
        hits = (
            unknown.select("row", found).drop_nulls("entry").join(_told(rules.lists[list_name]), on="entry")
        )
        hits = hits.select(
            "row", "name", type=pl.when(is_bot_library).then(pl.lit("bot_library")).otherwise(pl.lit(type_))
        )
        frame = frame.with_columns(
            frame["agent_type"].scatter(hits["row"], hits["type"]),
            frame["app"].scatter(hits["row"], hits["name"]),
        )
    is_none, is_bot = pl.col("text").is_in(["", "-"]), pl.col("text").str.contains(_GENERIC_BOT)
    otherwise = pl.when(is_none).then(pl.lit("none")).when(is_bot).then(pl.lit("bot"))
    frame = frame.with_columns(
        pl.coalesce("agent_type", otherwise.otherwise(pl.lit("unknown"))).alias("agent_type")
    )
    has_device = ~pl.col("agent_type").is_in(["bot", "none"])
    others = frame.filter(has_device).select("row", "text")
    entry = first_matches(others["text"], rules.lists["devices"])
    devices = others.with_columns(entry).join(
        _told(rules.lists["devices"]), on="entry", how="left", maintain_order="left"
    )
    devices = devices.select(
        "row", device="name", device_category="category", os=_systems(devices["text"], devices["name"], rules)
    )
    frame = frame.join(devices, on="row", how="left", maintain_order="left")
    return frame.with_columns(agents["agent"]).select(
        pl.col(name).cast(dtype) for name, dtype in CLASSIFIED.items()
    )


def _systems(text: pl.Series, devices: pl.Series, rules: AgentRules) -> pl.Series:
    """Operating system of these agents, by what they say, else by their device's name (both String)."""
    entries = rules.lists[OPERATING_SYSTEMS]
    by_agent = first_matches(text, entries)
    tells = by_agent.is_null() & devices.is_not_null() & ~text.str.contains(_TELLS_NO_SYSTEM, literal=True)
    names = devices.filter(tells).unique()
    by_name = names.to_frame("device").with_columns(first_matches(names, entries))
    by_device = devices.to_frame("device").join(by_name, on="device", how="left", maintain_order="left")
    entry = pl.select(pl.when(tells).then(by_device["entry"]).otherwise(by_agent).alias("entry"))
    return entry.join(_told(entries), on="entry", how="left", maintain_order="left")["name"]


def classify_referrers(referrers: pl.Series, rules: AgentRules) -> pl.DataFrame:
    """Distinct referrers of browsers (String, as logged) → REFERRED, in the same order; null: not listed."""
    entries = rules.lists["referrers"]
    found = first_matches(referrers.fill_null("").str.slice(0, MAX_REFERRER_CHARS), entries)
    told = found.to_frame().join(_told(entries), on="entry", how="left", maintain_order="left")
    return pl.DataFrame(
        {"referrer": referrers, "referrer_app": told["name"], "referrer_category": told["category"]},
        schema=REFERRED,
    )


@lru_cache(maxsize=64)
def _told(entries: tuple[Entry, ...]) -> pl.DataFrame:
    """What a list says, by the number of its `entry`."""
    rows = [(at, entry.name, entry.category) for at, entry in enumerate(entries)]
    schema = {"entry": pl.UInt32, "name": pl.String, "category": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def first_matches(texts: pl.Series, entries: tuple[Entry, ...]) -> pl.Series:
    """The number of the first of `entries` that matches each text: `entry` (UInt32), null where none does."""
    found = [pl.DataFrame(schema={"row": pl.UInt32, "entry": pl.UInt32})]
    rows = texts.to_frame("text").with_row_index("row")
    for start in range(0, len(entries), _GROUP):
        group = entries[start : start + _GROUP]
        if not rows.height:
            break
        is_hit = _matches(rows["text"], group)
        if is_hit.any():
            hits = rows.filter(is_hit)
            at = _first_match(hits["text"], group).cast(pl.UInt32) + start
            found.append(pl.DataFrame([hits["row"], at.alias("entry")]))
            rows = rows.filter(~is_hit)
    hits = pl.concat(found)
    nothing = pl.Series("entry", [None], dtype=pl.UInt32).new_from_index(0, texts.len())
    return nothing.scatter(hits["row"], hits["entry"]) if hits.height else nothing


def _first_match(texts: pl.Series, entries: tuple[Entry, ...]) -> pl.Series:
    """Which of `entries` is the first that matches, of texts that one matches. † In one query."""
    try:
        return texts.to_frame("text").select(_tried(entries)).to_series()
    except pl.exceptions.ComputeError:
        matches = pl.DataFrame([_matches(texts, (entry,)).alias(str(at)) for at, entry in enumerate(entries)])
        return matches.select(pl.concat_list(pl.all()).list.arg_max()).to_series()


@lru_cache(maxsize=256)  # † making it costs more than asking it of a few agents
def _tried(entries: tuple[Entry, ...]) -> pl.Expr:
    """Of column text: the number of the first of `entries` that matches."""
    text = pl.col("text").str
    return pl.coalesce(pl.when(text.contains(entry.pattern)).then(at) for at, entry in enumerate(entries))


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
