"""One thing that `earshot doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a finding stands."""

    FINE = "fine"
    ODD = "odd"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `advice` says what to do when it is not fine."""

    what: str
    found: str
    verdict: Verdict = Verdict.FINE
    advice: str = ""
