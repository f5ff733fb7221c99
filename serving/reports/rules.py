"""Which rule stands behind a figure, and where it is stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

METHODOLOGY = "/v1/methodology"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the methodology statement (serving/methodology); `anchor` is a heading of its."""

    id: str  # R…, or "ours" where the guideline is silent
    words: str
    anchor: str

    @property
    def about(self) -> Row:
        return {"id": self.id, "words": self.words, "link": f"{METHODOLOGY}#{self.anchor}"}


DOWNLOADS = Rule(
    "R25",
    "One listener, one episode, one window, at least one minute of content. A download bears the time of its "
    "window's first request.",
    "what-is-counted",
)
REQUESTED = Rule(
    "R32",
    "A window with a qualifying request: a prefix does not see whether anything was delivered. Never to be "
    "summed with those of server logs.",
    "what-is-counted",
)
LISTENERS = Rule(
    "R26",
    "Distinct (client address, user agent) within the row's whole period: never to be summed over rows. "
    "Where the data begin everyone is new.",
    "what-is-counted",
)
PERIODS = Rule(
    "ours",
    "Periods begin in the time zone that is named; weeks are ISO weeks, from Monday.",
    "dates-and-periods",
)
EXCLUSIONS = Rule(
    "R3–R10, R12–R14, R17",
    "A request is left out for the first reason that applies; with the downloads the rows add up to the log "
    "lines of the show that could be read.",
    "which-requests-count-552",
)
PACING = Rule(
    "ours",
    "Downloads within so many times 24 hours of publication, beside those of the show's episodes for which "
    "the data hold the whole span.",
    "pacing",
)
RECONCILIATION = Rule(
    "R35",
    "Downloads that a prefix and the host's log count of the same listening, with the likely cause where "
    "they differ.",
    "two-sources-of-a-show-r35",
)
COLLABORATIONS = Rule(
    "ours",
    "New listeners beyond those who would have come anyway, with a 90 % interval, estimated by comparison "
    "with like listeners who did not hear it.",
    "what-a-collaboration-brought",
)
RULES = (DOWNLOADS, REQUESTED, LISTENERS, PERIODS, EXCLUSIONS, PACING, RECONCILIATION, COLLABORATIONS)
