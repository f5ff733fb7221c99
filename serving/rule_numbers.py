"""The guideline's rules by number, with their section: one table for the methodology and the asset graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GUIDELINE = "IAB 2.3"


@dataclass(frozen=True)
class NumberedRules:
    """Rules told in one line; `words` tell each in the order of `ids`, apart by semicolons."""

    ids: tuple[str, ...]  # MEASUREMENT §1
    words: str
    section: str | None  # of the guideline; None: the words name it


RULES = (
    NumberedRules(("R2",), "figures of our own are labelled as such", "6"),
    NumberedRules(
        ("R3", "R4", "R5", "R6", "R7"),
        "only GET; 200; 206 by the union of ranges; never 304, 3xx, 4xx, 5xx; status 000",
        "5.5.2",
    ),
    NumberedRules(("R8", "R9"), "a request for bytes 0-1; Apple Watch duplicates", "5.5.2"),
    NumberedRules(
        ("R10", "R11", "R12"),
        "bots, data centres, bogus referrers; malformed agents; improbable addresses",
        "5.5.2",
    ),
    NumberedRules(
        ("R13", "R14", "R15"),
        "one minute of content; all of a short episode; ID3 size per episode, else per show",
        "5.5.3",
    ),
    NumberedRules(
        ("R17", "R18", "R20"),
        "one download per (address, agent, episode, window); session ids; what of an address counts",
        "5.5.4",
    ),
    NumberedRules(("R22", "R23", "R24"), "calendar, first-touch and last-touch windows", "5.5.1"),
    NumberedRules(("R25", "R26"), "download; listener", "6"),
    NumberedRules(
        ("R32", "R33"),
        "a prefix counts requests; GUID, title and date keep an episode's identity",
        "5.2",
    ),
    NumberedRules(
        ("R34", "R35"), "this statement and restating; two sources of a show agree within 5 %", None
    ),
)
_BY_ID = {rule: line for line in RULES for rule in line.ids}


def sources(ids: Iterable[str]) -> str:
    """Where these rules stand: "R3, R4 (IAB 2.3 §5.5.2); R25 (IAB 2.3 §6)". Raises KeyError."""
    by_section: dict[str | None, list[str]] = {}
    for rule in ids:
        by_section.setdefault(_BY_ID[rule].section, []).append(rule)
    return "; ".join(
        f"{', '.join(of)} ({GUIDELINE}{f' §{section}' if section else ''})"
        for section, of in by_section.items()
    )
