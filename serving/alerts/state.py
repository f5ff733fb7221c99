"""What was found and who was told of it: `<data>/alerts/state.json`, whole or not at all.

A file and not the registry: that the registry is away must be told, too (docs/decisions/0030).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ingest.durable import locked, write_atomically
from serving.alerts.alert import Kind, Severity

FOLDER = "alerts"
FILE = "state.json"
_FORMAT = 1


@dataclass
class Told:
    """What one channel was told of an alert."""

    at_us: int  # last, that it is there
    severity: Severity  # … and how bad
    amount: int
    is_open: bool  # false: told that it is over, too


@dataclass
class Known:
    """An alert over time."""

    look: str  # that finds it: only that one can say that it is over
    kind: Kind
    subject: str
    severity: Severity
    wrong: str
    do: str
    amount: int
    run_id: str | None
    first_us: int
    last_us: int
    count: int  # of failed runs; of other kinds how many looks found it
    gone_us: int | None = None  # since when looks do not find it; None: it is there
    told: dict[str, Told] = field(default_factory=dict)  # by channel

    @property
    def key(self) -> str:
        return f"{self.kind} {self.subject}"


@dataclass
class Channel:
    """How telling by one channel goes."""

    failures: int = 0  # in a row
    next_us: int = 0  # not tried before
    problem: str | None = None  # of the last failure
    failing_since_us: int | None = None
    told_us: int | None = None  # when it last took a message


@dataclass
class State:
    """All that is kept."""

    alerts: dict[str, Known] = field(default_factory=dict)  # by key
    channels: dict[str, Channel] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)  # look → when it last came to its end, µs
    damaged: bool = False  # the file could not be read: all is told anew


def folder(data: Path) -> Path:
    return data / FOLDER


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Who looks and tells does so alone; others wait."""
    folder(data).mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder(data) / ".lock"):
        yield


def read(data: Path) -> State:
    """The state; an empty one where there is none, or where it cannot be read: then all is told once more."""
    try:
        content = (folder(data) / FILE).read_bytes()
    except FileNotFoundError:
        return State()
    try:
        return _parsed(json.loads(content))
    except (ValueError, KeyError, TypeError):
        return State(damaged=True)


def write(state: State, data: Path) -> None:
    """Keep the state. Raises OSError, the former one then stays."""
    kept = {
        "format": _FORMAT,
        "alerts": [asdict(each) for each in state.alerts.values()],
        "channels": {name: asdict(each) for name, each in state.channels.items()},
        "looked": state.looked,
    }
    folder(data).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(folder(data) / FILE, json.dumps(kept, indent=1, ensure_ascii=False).encode())


def _parsed(kept: dict[str, Any]) -> State:
    if kept["format"] != _FORMAT:
        raise ValueError("of another Earshot")
    alerts = [_known(each) for each in kept["alerts"]]
    return State(
        alerts={each.key: each for each in alerts},
        channels={name: Channel(**each) for name, each in kept["channels"].items()},
        looked={str(name): int(at) for name, at in kept["looked"].items()},
    )


def _known(row: dict[str, Any]) -> Known:
    told = {
        name: Told(**{**each, "severity": Severity(each["severity"])}) for name, each in row["told"].items()
    }
    return Known(**{**row, "kind": Kind(row["kind"]), "severity": Severity(row["severity"]), "told": told})
