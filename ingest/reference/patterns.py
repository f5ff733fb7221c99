"""Which patterns of a list may be used: those that compile, mean something, and stay fast on hostile text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import polars as pl

from ingest.logs.ranges import ReferenceListError
from ingest.reference import trial

MAX_PATTERN_CHARS = 4_096  # the longest of the public lists has 889
# Agents are cut at 1,024 characters, referrers at 2,048: the patterns of both are tried on the longer.
TRIED_CHARS = 2_048
# What Rust can search it searches in linear time. A pattern that is exponential elsewhere is refused all the
# same, as a slip or an attack, and this many characters show it: 2 to the 64th steps.
LINEAR_CHARS = 64
MAX_REPEATED_CHOICES = 8  # 2 to the 8th readings are no danger
_RUST_BUDGET_S = 0.2  # for all texts of a pattern; an ordinary one needs 50 µs
_TRIAL_S = 120  # the whole trial of Python patterns; each of them has its own budget far below
_UNLIKE_ANYTHING = ["", "\N{SNOWMAN}"]


def refuse_unusable(patterns: Sequence[tuple[str, str]]) -> None:
    """Check (where, pattern) of a list; `where` names list and entry. Raises ReferenceListError."""
    hostile = pl.Series(_HOSTILE)
    tried = []
    for where, pattern in patterns:
        if not pattern:
            raise ReferenceListError(f"{where} is empty")
        if len(pattern) > MAX_PATTERN_CHARS:
            raise ReferenceListError(f"{where} is longer than {MAX_PATTERN_CHARS:,} characters")
        is_rust = _is_rust(pattern)
        if is_rust:
            matches_anything = bool(pl.Series(_UNLIKE_ANYTHING).str.contains(pattern).all())
            # Three times, since other threads of this process may be at work.
            if all(_seconds(hostile, pattern) > _RUST_BUDGET_S for _ in range(3)):
                raise ReferenceListError(_catastrophic(where, pattern))
        else:
            compiled = _compiled(where, pattern)
            matches_anything = all(compiled.search(text) for text in _UNLIKE_ANYTHING)
        if matches_anything:
            raise ReferenceListError(f"{where} matches everything: {_shown(pattern)}")
        if not is_rust and _repeats_a_choice(_parser.parse(pattern)):
            raise ReferenceListError(_catastrophic(where, pattern))
        tried.append((where, pattern, LINEAR_CHARS if is_rust else TRIED_CHARS))
    _refuse_catastrophic(tried)


def _is_rust(pattern: str) -> bool:
    """Runs in Rust, where a search takes linear time."""
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        return False
    return True


def _seconds(texts: pl.Series, pattern: str) -> float:
    """CPU seconds of a search in all `texts`: linear, but counted repetitions multiply it."""
    began = time.process_time()
    texts.str.contains(pattern)
    return time.process_time() - began


def _compiled(where: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ReferenceListError(f"{where} is no regular expression: {error}: {_shown(pattern)}") from error


def _refuse_catastrophic(patterns: Sequence[tuple[str, str, int]]) -> None:
    """Python backtracks: try each on texts made against it, in a process that can be ended."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(Path(trial.__file__))],
            input=json.dumps([(pattern, chars) for _, pattern, chars in patterns]),
            capture_output=True,
            text=True,
            timeout=_TRIAL_S,
            check=True,
        )
        too_slow: list[bool] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise ReferenceListError(f"its patterns could not be tried: {error}") from error
    for (where, pattern, _), is_too_slow in zip(patterns, too_slow, strict=True):
        if is_too_slow:
            raise ReferenceListError(_catastrophic(where, pattern))


def _repeats_a_choice(parsed: Any) -> bool:
    """Is something repeated without bound that can itself be read in several ways, as in `(?:a+)+`?

    Where Python backtracks, such a pattern may be exponential on text that no trial happens to hold.
    """
    for kind, value in parsed:
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            _, most, inner = value
            if most > MAX_REPEATED_CHOICES and _has_choice(inner):
                return True
        if any(_repeats_a_choice(part) for part in _parts(value)):
            return True
    return False


def _has_choice(parsed: Any) -> bool:
    for kind, value in parsed:
        if kind is _constants.BRANCH:
            return True
        if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT) and value[0] != value[1]:
            return True
        if any(_has_choice(part) for part in _parts(value)):
            return True
    return False


def _parts(value: Any) -> list[Any]:
    """The patterns inside one element of a parsed pattern."""
    if isinstance(value, _parser.SubPattern):
        return [value]
    if isinstance(value, tuple | list):
        return [part for each in value for part in _parts(each)]
    return []


def _catastrophic(where: str, pattern: str) -> str:
    return f"{where} is catastrophic, hostile text keeps it busy without end: {_shown(pattern)}"


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 120 else pattern[:119] + "…")


_HOSTILE = [
    *(sign * TRIED_CHARS for sign in "a0A /.;(-_"),
    *((text * TRIED_CHARS)[:TRIED_CHARS] for text in ("Mozilla/5.0 ", "ab", "a/1 ", "x.y ", "(a; ", "aA0")),
    "".join(chr(33 + n * 7 % 94) for n in range(TRIED_CHARS)),
    "é" * TRIED_CHARS,
]
