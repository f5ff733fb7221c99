"""Patterns of lists: what compiles, means something and stays fast whatever text it meets."""

from __future__ import annotations

import time

import pytest

from ingest.logs.ranges import ReferenceListError
from ingest.reference.patterns import LINEAR_CHARS, TRIED_CHARS, refuse_unusable
from ingest.reference.trial import attacks, is_too_slow


def refusal(pattern: str) -> str | None:
    try:
        refuse_unusable([("apps: the pattern of 'X'", pattern)])
    except ReferenceListError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "pattern",
    [
        r"^Overcast/",
        r"(?i)podcast(s|er)?[ /]\d+",
        r"^[^/]+/\d+(\.\d+)* \(.*; (iOS|Android)[^)]*\)",  # Rust: linear whatever it repeats
        r"\p{L}+x",  # Rust alone
        r"x(?=y)",
        r"^(?!.*bot).*Podcast",
        r"(.)\1{3}",
    ],
)
def test_ordinary_patterns_pass_in_rust_and_in_python(pattern: str) -> None:
    assert refusal(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"^(\w+\s?)*:$",
        r"^(?!x)(a|aa)+$",
        r"(?<!x)(a|a)*b",
        r"(?!q)([a-c]*)*d",
        r"(\w)\1(?:-?\d+)*#",
        r"^(([^\d](?!x))+)+$",
        r"(?<=a)\d+\d+\d+\d+x",
        r"(?!k)(.*?,){12}P",
        r"(a)(b)?\1(?!z).*foo.*bar.*baz.*qux",
        r"(?:a?){100}(?:a){100}(?=b)",
        r"(?!k)(?>(a|b(?:c+)+)d)*e",
        r"(?!k)x(?(1)a|(?:\s+z?)+)!()",
        # The look-ahead wants what no repetition feeds it.
        r"^(?!bot)(?=.*Pod)(?:[a-z]+ ?)+$",
        r"(?=.*KEY)(?:a|aa)+$",
    ],
)
def test_a_catastrophic_pattern_is_refused_at_once(pattern: str) -> None:
    began = time.monotonic()
    assert "apps: the pattern of 'X' is catastrophic" in str(refusal(pattern))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(", "is no regular expression: missing )"),
        ("foo)|(?:bar", "is no regular expression: unbalanced parenthesis"),
        ("a{99999999999}", "is no regular expression: the repetition number is too large"),
        ("(?:" * 1_000 + "x" + ")" * 1_000, "is no regular expression"),
        ("a" * 5_000, "is longer than 4,096 characters"),
        ("", "is empty"),
        ("x*", "matches everything"),
        ("(?!a)b?", "matches everything"),
        ("(?:a{0,900}){0,900}", "matches everything"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, told: str) -> None:
    assert told in str(refusal(pattern))


def test_the_pattern_at_fault_is_named_among_others() -> None:
    good = [(f"apps: the pattern of 'A{n}'", f"^A{n}(?=/)") for n in range(5)]
    with pytest.raises(ReferenceListError, match="'Slow' is catastrophic"):
        refuse_unusable([*good, ("bots: the pattern of 'Slow'", "(?!k)(a*)*b"), *good])


def test_attacks_lead_up_to_a_repetition_and_feed_it() -> None:
    found = attacks("^app/(?:[0-9]+[.]?)*$", 40)
    assert any(text.startswith("app/0") and text.count("0") > 10 and text.endswith("!") for text in found)
    assert max(map(len, found)) <= 42


def test_what_is_linear_here_is_tried_for_exponential_growth_only() -> None:
    # Quadratic in Python, linear in Rust: no reason to refuse a list.
    quadratic = r".+[Bb]rave.+x.+y.+z"
    assert not is_too_slow(quadratic, LINEAR_CHARS)
    assert is_too_slow(quadratic, TRIED_CHARS)
    assert refusal(quadratic) is None
