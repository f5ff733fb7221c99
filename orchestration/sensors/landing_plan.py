"""Which landing files to ask for next: a pure function of what lies there, the ledger and the cursor.

A file is finished when the ledger knows it. Until then it is new (the cursor has not passed it), asked for
(a run was requested), or lost (passed, never asked for, unknown to the ledger: found by a sweep).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import polars as pl
from pydantic import BaseModel

from ingest.logs.intake import LandingFile
from orchestration.clock import has_passed
from orchestration.constants import (
    ATTEMPT_PAUSES_S,
    LATER_ATTEMPTS_S,
    MAX_FILE_ATTEMPTS,
    MAX_FILES_PER_RUN,
    SWEEP_INTERVAL_S,
)

UNREADABLE = ""
UNHASHED = "0" * 32  # the ledger's file_id of what is no regular file
# 32 hex digits; UNREADABLE: it cannot be read; None: not in this tick.
ContentHash = Callable[[LandingFile], str | None]


class Asked(BaseModel):
    """A file a run was requested for and the ledger does not know yet."""

    file_id: str
    changed_ns: int  # then; a later change makes it a new file
    attempts: int
    at: float  # when it was asked for last
    run_key: str = ""  # by which run
    alone: bool = False  # it may have broken its run


class Cursor(BaseModel):
    """What the sensor remembers. Losing it costs one comparison of all files with the ledger."""

    passed: dict[str, tuple[int, str]] = {}  # source -> (changed_ns, name) of the last file dealt with
    asked: dict[str, Asked] = {}  # by "source/name"
    swept_at: float = 0.0


@dataclass(frozen=True)
class Batch:
    """One run to request: files of one source."""

    source: str
    files: tuple[LandingFile, ...]
    attempt: int  # 0 the first time
    run_key: str

    @property
    def names(self) -> list[str]:
        return [label(file) for file in self.files]


@dataclass
class Plan:
    """What to request now, what to remember, and what to tell when there is nothing to request."""

    cursor: Cursor
    batches: list[Batch] = field(default_factory=list)
    busy: dict[str, int] = field(default_factory=dict)  # source -> files that wait for its run to end
    pausing: dict[str, int] = field(default_factory=dict)  # source -> files whose next attempt is not yet due
    late: list[str] = field(default_factory=list)  # lost in run after run; asked for each hour
    unreadable: list[str] = field(default_factory=list)


def label(file: LandingFile) -> str:
    """How configs, tags and messages name a file."""
    return f"{file.source}/{file.name}"


def batch_size(attempt: int) -> int:
    """500, 62, 7, 1, then 500: who was lost goes in ever smaller company, later in full (constants.py)."""
    if attempt >= MAX_FILE_ATTEMPTS:
        return MAX_FILES_PER_RUN
    return max(1, MAX_FILES_PER_RUN >> (3 * attempt)) if attempt + 1 < MAX_FILE_ATTEMPTS else 1


def make_plan(
    files: Sequence[LandingFile],
    cursor: Cursor,
    busy: AbstractSet[str],
    read_ledger: Callable[[], pl.DataFrame],
    content_hash: ContentHash,
    now: float,
) -> Plan:
    """The next runs to request. `busy` names the sources with a run under way: their files gather."""
    before, here = cursor, {label(file): file for file in files}
    sweep = has_passed(SWEEP_INTERVAL_S, before.swept_at, now)
    new = {name for name, file in here.items() if _is_new(file, before)}
    asked = {
        name: entry.model_copy()
        for name, entry in before.asked.items()
        if name in here and here[name].changed_ns == entry.changed_ns
    }
    plan = Plan(Cursor(passed=dict(before.passed), asked=asked, swept_at=now if sweep else before.swept_at))
    looked_at = here if sweep else {name: here[name] for name in here if name in new or name in asked}
    if not looked_at:
        return plan
    ledger = _Ledger(read_ledger(), looked_at.values())
    plan.cursor.asked = {
        name: entry for name, entry in asked.items() if not ledger.holds(here[name], entry.file_id)
    }

    open_files: dict[str, list[LandingFile]] = {}
    for name, file in looked_at.items():
        waiting = name in plan.cursor.asked
        settled = name in asked and not waiting
        lost = name not in asked and name not in new and not ledger.looks_taken(file)
        if waiting or lost or (name in new and not settled):
            open_files.setdefault(file.source, []).append(file)
    for source in sorted(open_files):
        if source in busy:
            plan.busy[source] = len(open_files[source])
        else:
            _set_suspects_apart(plan.cursor, open_files[source])
            _plan_source(plan, source, open_files[source], new, ledger, content_hash, now)
    return plan


def _set_suspects_apart(cursor: Cursor, files: Iterable[LandingFile]) -> None:
    """Of each run that ended without all its files: the first it left out goes alone from now on.

    The last of MAX_FILE_ATTEMPTS runs had one file each: that it failed, too, tells not which one is bad.
    """
    seen: set[str] = set()
    for file in _in_order(files):
        entry = cursor.asked.get(label(file))
        if entry and entry.run_key and entry.run_key not in seen:
            seen.add(entry.run_key)
            entry.alone = entry.attempts != MAX_FILE_ATTEMPTS


def _plan_source(
    plan: Plan,
    source: str,
    files: Sequence[LandingFile],
    new: AbstractSet[str],
    ledger: _Ledger,
    content_hash: ContentHash,
    now: float,
) -> None:
    """Add this source's next batch to `plan`: those tried least, oldest first; suspects last and alone."""
    candidates = _candidates(plan, source, files, now)
    if not candidates:
        return
    turns = {label(file): _turn(plan.cursor, file) for file in candidates}
    turn = min(turns.values())
    alone, attempt = turn
    size = 1 if alone else batch_size(attempt)
    chosen: list[tuple[LandingFile, str]] = []
    for file in _in_order(file for file in candidates if turns[label(file)] == turn):
        if len(chosen) == size:
            break
        name = label(file)
        if not (name in new and ledger.took_since_change(file)):
            file_id = content_hash(file)
            if file_id is None:
                break  # the cursor must not pass it
            if file_id == UNREADABLE:
                plan.unreadable.append(name)
                plan.cursor.asked[name] = _asked(file, file_id, MAX_FILE_ATTEMPTS, now)
            elif not ledger.holds(file, file_id):
                chosen.append((file, file_id))
        if name in new:
            plan.cursor.passed[source] = (file.changed_ns, file.name)
    if chosen:
        run_key = _run_key(source, chosen, attempt)
        for file, file_id in chosen:
            plan.cursor.asked[label(file)] = _asked(file, file_id, attempt + 1, now, run_key, alone)
        plan.batches.append(Batch(source, tuple(file for file, _ in chosen), attempt, run_key))


def _candidates(plan: Plan, source: str, files: Sequence[LandingFile], now: float) -> list[LandingFile]:
    """The files that may be asked for now; the others are told in `plan`."""
    candidates = []
    late = [entry for file in files if (entry := plan.cursor.asked.get(label(file))) and _is_late(entry)]
    all_late = any(has_passed(LATER_ATTEMPTS_S, entry.at, now) for entry in late)  # then they go together
    for file in files:
        entry = plan.cursor.asked.get(label(file))
        if entry is None:
            candidates.append(file)
        elif entry.file_id == UNREADABLE:
            plan.unreadable.append(label(file))
        elif has_passed(_pause_s(entry), entry.at, now) or (all_late and _is_late(entry)):
            candidates.append(file)
        elif entry.attempts >= MAX_FILE_ATTEMPTS:
            plan.late.append(label(file))
        else:
            plan.pausing[source] = plan.pausing.get(source, 0) + 1
    return candidates


def _is_late(entry: Asked) -> bool:
    """Lost in run after run, and no suspect."""
    return entry.attempts >= MAX_FILE_ATTEMPTS and not entry.alone and entry.file_id != UNREADABLE


def _pause_s(entry: Asked) -> float:
    if entry.attempts >= MAX_FILE_ATTEMPTS:
        return LATER_ATTEMPTS_S
    return ATTEMPT_PAUSES_S[entry.attempts - 1]


def _turn(cursor: Cursor, file: LandingFile) -> tuple[bool, int]:
    entry = cursor.asked.get(label(file))
    return (entry.alone, entry.attempts) if entry else (False, 0)


def _in_order(files: Iterable[LandingFile]) -> list[LandingFile]:
    return sorted(files, key=lambda file: (file.changed_ns, file.name))


def _asked(
    file: LandingFile, file_id: str, attempts: int, now: float, run_key: str = "", alone: bool = False
) -> Asked:
    return Asked(
        file_id=file_id,
        changed_ns=file.changed_ns,
        attempts=attempts,
        at=now,
        run_key=run_key,
        alone=alone,
    )


def _run_key(source: str, chosen: Sequence[tuple[LandingFile, str]], attempt: int) -> str:
    """The same files with the same content are asked for once, however often a tick is repeated."""
    digest = hashlib.sha256()
    for name, file_id in sorted((file.name, file_id) for file, file_id in chosen):
        digest.update(f"{name}\0{file_id}\n".encode())
    return f"{source}:{digest.hexdigest()[:32]}" + (f":attempt-{attempt + 1}" if attempt else "")


def _is_new(file: LandingFile, cursor: Cursor) -> bool:
    return (file.changed_ns, file.name) > tuple(cursor.passed.get(file.source, (-1, "")))


class _Ledger:
    """The ledger's rows of the files in question."""

    def __init__(self, ledger: pl.DataFrame, files: Iterable[LandingFile]) -> None:
        wanted = pl.DataFrame(
            [(file.source, file.name) for file in files],
            schema={"source": pl.String, "file_name": pl.String},
            orient="row",
        )
        rows = ledger.join(wanted, on=["source", "file_name"], how="semi").select(
            "source", "file_name", "file_id", "size_bytes", "modified_ns", "taken_in_us"
        )
        self._rows: dict[tuple[str, str], list[tuple[str, int, int, int]]] = {}
        for source, name, file_id, size, modified, taken_in in rows.iter_rows():
            self._rows.setdefault((source, name), []).append((file_id, size, modified, taken_in))

    def _of(self, file: LandingFile) -> list[tuple[str, int, int, int]]:
        return self._rows.get((file.source, file.name), [])

    def holds(self, file: LandingFile, file_id: str) -> bool:
        """This very content is known under this name; what could not be hashed is told by size and time."""
        return any(
            known == file_id
            or (known == UNHASHED and (size, modified) == (file.size_bytes, file.modified_ns))
            for known, size, modified, _ in self._of(file)
        )

    def looks_taken(self, file: LandingFile) -> bool:
        """A file of this name, size and time is known."""
        return any(
            (size, modified) == (file.size_bytes, file.modified_ns) for _, size, modified, _ in self._of(file)
        )

    def took_since_change(self, file: LandingFile) -> bool:
        """As `looks_taken`, and nothing has touched the file since: no need to read it."""
        return any(
            (size, modified) == (file.size_bytes, file.modified_ns) and file.changed_ns < taken_in * 1000
            for _, size, modified, taken_in in self._of(file)
        )
