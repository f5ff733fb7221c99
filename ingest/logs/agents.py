"""Who asked: user agents by ordered lists, first match wins.

Bots → apps → libraries → browsers; then devices. Source of the semantics: OPAWG user-agents-v2. Patterns run
in Rust (linear time on any agent text).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from ingest.logs.prefixes import percent_decode
from ingest.logs.rejects import MASK
from ingest.schema import Schema

LISTS = ("bots", "apps", "libraries", "browsers", "devices")
TYPES = {"bots": "bot", "apps": "app", "libraries": "library", "browsers": "browser"}

CLASSIFIED: Schema = {
    "agent": pl.String,
    "agent_type": pl.String,
    "app": pl.String,
    "device": pl.String,
    "device_category": pl.String,
}

MAX_AGENT_CHARS = 1_024
_GENERIC_BOT = r"(?i)bot|crawler|spider"
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
    version: str  # first 12 hex of the SHA-256 of their content

    @classmethod
    def load(cls, reference_dir: Path | None = None) -> AgentRules:
        """From `<reference_dir>/opawg/<list>.json`, else our own list. Raises AgentListError."""
        theirs = reference_dir / "opawg" if reference_dir else None
        if theirs is not None and theirs.is_dir():
            raw = {name: _entries(theirs / f"{name}.json") for name in LISTS}
        else:
            raw = orjson.loads(resources.files("ingest.reference").joinpath("agents.json").read_bytes())
        return cls.of({name: raw[name] for name in LISTS})

    @classmethod
    def of(cls, raw: dict[str, list[dict[str, Any]]]) -> AgentRules:
        """From entries with `name`, `pattern` and optionally `category` and `examples`."""
        lists = {name: tuple(_entry(name, entry) for entry in raw.get(name, [])) for name in LISTS}
        for name, entries in lists.items():
            _refuse_unusable(name, entries)
        content = [(e.name, e.pattern, e.category) for name in LISTS for e in lists[name]]
        return cls(lists, hashlib.sha256(repr(content).encode()).hexdigest()[:12])


def _entries(path: Path) -> list[dict[str, Any]]:
    """The entries of one OPAWG file; half a set of lists must not pass for the whole."""
    try:
        entries: list[dict[str, Any]] = orjson.loads(path.read_bytes())["entries"]
    except FileNotFoundError:
        raise AgentListError(f"{path} is missing; an opawg folder holds {', '.join(LISTS)}") from None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise AgentListError(f"{path} is no list of agents: {error}") from error
    return entries


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


def _union(entries: tuple[Entry, ...]) -> str:
    return "|".join(f"(?:{entry.pattern})" for entry in entries)


def classify(agents: pl.DataFrame, rules: AgentRules) -> pl.DataFrame:
    """Distinct agents (column agent, String) → CLASSIFIED, in the same order.

    agent_type: app | browser | library | bot | bot_library | unknown | none. `app` is the name of whatever
    entry matched. Bots have no device.
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
        },
        schema=CLASSIFIED,
    )


def first_matches(texts: pl.Series, entries: tuple[Entry, ...]) -> list[tuple[int, Entry]]:
    """(position, the first entry that matches there), for the texts that any entry matches."""
    found: list[tuple[int, Entry]] = []
    open_rows = pl.Series(range(len(texts)), dtype=pl.UInt32)
    for start in range(0, len(entries), _GROUP):
        group = entries[start : start + _GROUP]
        if not len(open_rows):
            break
        candidates = open_rows.filter(_matches(texts.gather(open_rows), group))
        taken: set[int] = set()
        for entry in group:
            if not len(candidates):
                break
            hit = _matches(texts.gather(candidates), (entry,))
            rows = candidates.filter(hit)
            found += [(row, entry) for row in rows]
            taken.update(rows)
            candidates = candidates.filter(~hit)
        if taken:
            open_rows = open_rows.filter(~open_rows.is_in(list(taken)))
    return found


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


_LABEL = re.compile(r"^\s*user-agent\s*:\s*", re.IGNORECASE)
# Somebody's address in a comment, as proxies write it; a version stands behind a slash.
_ADDRESS = re.compile(r"(?<![^\s(\[,;=])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![^\s)\],;])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def repaired(agent: str | None) -> str | None:
    """A malformed agent put right where the intent is clear (R11); null for empty and `-`."""
    if agent is None:
        return None
    text = _CONTROL.sub(" ", agent[: 4 * MAX_AGENT_CHARS]).strip()
    text = _LABEL.sub("", text)
    while len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if " " not in text:
        if _is_encoded_again(text):
            text = _CONTROL.sub(" ", percent_decode(text)).strip()
        if " " not in text and ("+(" in text or ";+" in text):
            text = text.replace("+", " ").strip()
    text = _ADDRESS.sub(MASK, text[:MAX_AGENT_CHARS])
    return None if text in ("", "-") else text


def _is_encoded_again(text: str) -> bool:
    """A whole agent encoded once more: no space left, but escapes after a slash or around a comment.

    An app name alone (`BBC%20Sounds/1 CFNetwork/…`) is written so by Apple's own library, and the lists
    expect it. Plain searches: agents come from strangers, and a pattern for this is quadratic.
    """
    _, slash, behind = text.partition("/")
    return "%2f" in text.lower() or "%20(" in text or (bool(slash) and "%20" in behind)


@dataclass
class KnownAgents:
    """Agents classified so far, over segments and files; bounded, since agents come from strangers."""

    rules: AgentRules
    limit: int = 200_000

    def __post_init__(self) -> None:
        self._known = pl.DataFrame(schema={"as_logged": pl.String, **CLASSIFIED})

    def of(self, as_logged: pl.Series) -> pl.DataFrame:
        """Agents as logged (decoded) → as_logged and CLASSIFIED of the repaired text, one row each."""
        distinct = as_logged.drop_nulls().unique().to_frame("as_logged")
        new = distinct.join(self._known, on="as_logged", how="anti")
        if new.height:
            new = new.with_columns(
                agent=pl.Series([repaired(text) for text in new["as_logged"]], dtype=pl.String)
            )
            classified = classify(new.select(pl.col("agent").unique(maintain_order=True)), self.rules)
            new = new.join(classified, on="agent", how="left", nulls_equal=True).select(self._known.columns)
            if self._known.height + new.height > self.limit:
                self._known = self._known.clear()
                return self.of(as_logged) if new.height < distinct.height else new
            self._known = pl.concat([self._known, new])
        return distinct.join(self._known, on="as_logged", how="inner")
