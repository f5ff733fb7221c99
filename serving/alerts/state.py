"""What was found and who was told of it: `<data>/alerts/state.json`, whole or not at all.

A file and not the registry: that the registry is away must be told, too (docs/decisions/0030).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ingest import owner
from ingest.durable import locked, write_atomically
from serving.alerts.alert import Kind, Severity

FOLDER = "alerts"
FILE = "state.json"
DAMAGED = ".damaged"  # what the name of a file that was set aside ends with
_FORMAT: Literal[1] = 1

# What a file says is checked against these, so no annotation here is a text (`from __future__`).
Instant = Annotated[int, Field(ge=-(2**53), le=253_402_300_799_000_000)]  # µs, to the end of year 9999
Amount = Annotated[int, Field(ge=0, le=2**62)]


@dataclass
class Told:
    """What one channel was told of an alert."""

    at_us: Instant  # last, that it is there
    severity: Severity  # … and how bad
    amount: Amount
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
    amount: Amount
    run_id: str | None
    first_us: Instant
    last_us: Instant
    count: Amount  # of failed runs; of other kinds how many looks found it
    gone_us: Instant | None = None  # since when looks do not find it; None: it is there
    told: dict[str, Told] = field(default_factory=dict)  # by channel

    @property
    def key(self) -> str:
        return f"{self.kind} {self.subject}"


@dataclass
class About:
    """An alert as a message tells it."""

    key: str
    what: str  # news.What
    severity: Severity
    amount: Amount


@dataclass
class Message:
    """One that is being sent: kept before, so that a crash sends the very same once more."""

    id: str
    subject: str  # of an e-mail
    text: str  # its body, or that of a webhook
    about: list[About]


@dataclass
class Channel:
    """How telling by one channel goes."""

    failures: Amount = 0  # in a row
    next_us: Instant = 0  # not tried before
    problem: str | None = None  # of the last failure
    failing_since_us: Instant | None = None
    told_us: Instant | None = None  # when it last took a message
    burst: Amount = 0  # messages, none long after the one before
    sending: Message | None = None  # nobody noted what came of it


@dataclass
class State:
    """All that is kept."""

    alerts: dict[str, Known] = field(default_factory=dict)  # by key
    channels: dict[str, Channel] = field(default_factory=dict)
    looked: dict[str, Instant] = field(default_factory=dict)  # look → when it last came to its end, µs
    damaged: bool = False  # the file could not be read: all is told anew


@dataclass
class _Kept:
    """The file."""

    format: Literal[1]
    alerts: list[Known]
    channels: dict[str, Channel]
    looked: dict[str, Instant]


_KEPT = TypeAdapter(_Kept)


def folder(data: Path) -> Path:
    return data / FOLDER


def make_folder(data: Path) -> Path:
    """The folder, there now. What root makes belongs to the data folder's owner: the service must go on."""
    made = folder(data)
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    give(made, data)
    return made


def give(path: Path, data: Path) -> None:
    """Root gives what it made to the data folder's owner; a link, or what has a second name, to nobody."""
    with contextlib.suppress(OSError):
        owner.give(path, data.stat())


@contextlib.contextmanager
def alone(data: Path, lock: str = ".lock") -> Iterator[None]:
    """Who looks and tells does so alone; others wait."""
    path = make_folder(data) / lock
    with locked(path):
        give(path, data)
        yield


def read(data: Path) -> State:
    """The state; an empty one where there is none, or where it cannot be read: then all is told once more.

    Raises OSError: it is not ours to read.
    """
    try:
        kept = _KEPT.validate_json((folder(data) / FILE).read_bytes(), strict=True)
    except FileNotFoundError:
        return State()
    except (ValidationError, IsADirectoryError):
        return State(damaged=True)
    return State({each.key: each for each in kept.alerts}, kept.channels, kept.looked)


def write(state: State, data: Path) -> None:
    """Keep the state. Raises OSError, the former one then stays."""
    kept = _Kept(_FORMAT, list(state.alerts.values()), state.channels, state.looked)
    path = make_folder(data) / FILE
    write_atomically(path, _KEPT.dump_json(kept, indent=1))
    give(path, data)


def set_aside(data: Path, name: str) -> Path:
    """Put a damaged file out of the way, for a person to look at; where it is now. Raises OSError."""
    path = folder(data) / name
    aside = path.with_name(name + DAMAGED)
    number = 1
    while aside.is_dir() or (path.is_dir() and aside.exists()):  # a folder takes no other's place
        number += 1
        aside = path.with_name(f"{name}{DAMAGED}-{number}")
    path.replace(aside)
    return aside


def set_aside_before(data: Path) -> list[Path]:
    """Files that were set aside and are still there."""
    return sorted(folder(data).glob(f"*{DAMAGED}*"))
