"""Tries Python patterns on texts made against them, in a process of its own that can be ended.

Run as a script: a JSON list of [pattern, characters] on standard input; on standard output: is each too slow?
Imports nothing of ours, so that it starts in milliseconds.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

BUDGET_S = 0.05  # of CPU, for one search in one text: a crowd of hostile agents must not stop the intake
_REPEATS = {c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT}
_CHARACTERS = {c.LITERAL, c.RANGE}
_CATEGORIES = {
    c.CATEGORY_DIGIT: r"\d",
    c.CATEGORY_NOT_DIGIT: r"\D",
    c.CATEGORY_SPACE: r"\s",
    c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_WORD: r"\w",
    c.CATEGORY_NOT_WORD: r"\W",
}
_ENDS = ("", "!", "\x00", " x")
_MAX_TEXTS = 400

Node = tuple[Any, Any]


def attacks(pattern: str, chars: int) -> list[str]:
    """Texts of about `chars` characters that make a backtracking search of `pattern` work hardest.

    Each repetition is led up to and then fed with what it repeats, so that only the end fails.
    """
    tree = list(_parser.parse(pattern))
    beginnings = [_sample(tree[:length]) for length in range(1, len(tree) + 1)]
    fed = dict.fromkeys(
        [*_fed(tree, ""), *(("", food) for food in [*beginnings, *sorted({*beginnings[-1]})])]
    )
    texts = []
    for lead, food in fed:
        if food:
            texts += [(lead + food * (chars // len(food) + 1))[:chars] + end for end in _ENDS]
    return texts[:_MAX_TEXTS]


def _fed(nodes: list[Node], lead: str) -> Iterator[tuple[str, str]]:
    """(what leads up to it, what it repeats) of every repetition."""
    for op, value in nodes:
        for inner in _inside(op, value):
            if op in _REPEATS:
                yield lead, _sample(inner)
                for inner_op, inner_value in inner:  # (a|b)*: each way to go round
                    yield from ((lead, _sample(way)) for way in _inside(inner_op, inner_value))
            yield from _fed(inner, lead)
        lead += _sample([(op, value)])


def _inside(op: Any, value: Any) -> list[list[Node]]:
    """The patterns within a node."""
    if op in _REPEATS:
        return [list(value[2])]
    if op is c.BRANCH:
        return [list(way) for way in value[1]]
    if op is c.SUBPATTERN:
        return [list(value[3])]
    if op in (c.ASSERT, c.ASSERT_NOT):
        return [list(value[1])]
    if op is c.ATOMIC_GROUP:
        return [list(value)]
    if op is c.GROUPREF_EXISTS:
        return [list(way) for way in value[1:] if way]
    return []


def _sample(nodes: list[Node]) -> str:
    """A short text that these nodes match, where that is easily told."""
    return "".join(_sample_of(op, value) for op, value in nodes)[:200]


def _sample_of(op: Any, value: Any) -> str:
    if op is c.LITERAL:
        return chr(int(value))
    if op is c.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if op is c.ANY:
        return "a"
    if op is c.IN:
        return _one_of(value)
    if op in _REPEATS:
        return _sample(list(value[2])) * min(max(int(value[0]), 1), 20)
    if op is c.ASSERT_NOT or (op is c.ASSERT and value[0] > 0):
        return ""  # a look behind needs its text before it; one ahead looks at what follows
    inside = _inside(op, value)
    return _sample(inside[0]) if inside else ""


def _one_of(choices: list[Node]) -> str:
    """A character of a set."""
    wanted = choices[0][0] is not c.NEGATE
    of_the_set = [value if op is c.LITERAL else value[0] for op, value in choices if op in _CHARACTERS]
    for sign in [*"a0 A/.-_;(+%~", *(chr(int(code)) for code in of_the_set)]:
        if any(_is_in(sign, op, value) for op, value in choices) is wanted:
            return str(sign)
    return "a"


def _is_in(sign: str, op: Any, value: Any) -> bool:
    if op is c.LITERAL:
        return ord(sign) == int(value)
    if op is c.RANGE:
        return bool(value[0] <= ord(sign) <= value[1])
    return op is c.CATEGORY and re.fullmatch(_CATEGORIES.get(value, "."), sign) is not None


class _TooSlow(Exception):
    pass


def _stop(*_: object) -> None:
    raise _TooSlow


def is_too_slow(pattern: str, chars: int) -> bool:
    """Does a search of `pattern` go over the budget in a text of `chars` characters made against it?"""
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False  # the syntax of Rust, which takes linear time
    signal.signal(signal.SIGVTALRM, _stop)
    for text in attacks(pattern, chars):
        signal.setitimer(signal.ITIMER_VIRTUAL, BUDGET_S)
        try:
            compiled.search(text)
        except _TooSlow:
            return True
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return False


if __name__ == "__main__":
    json.dump([is_too_slow(pattern, chars) for pattern, chars in json.load(sys.stdin)], sys.stdout)
