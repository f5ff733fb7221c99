"""Why a request does not count, in plain words: one table for `earshot explain` and the methodology."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.schema import Exclusion


@dataclass(frozen=True)
class Reason:
    """One reason; `words` end the sentence "It does not count: …"."""

    rule: str  # MEASUREMENT §1; "ours" where the guideline is silent
    words: str
    by_list: str | None = None  # the list that judged it, by its name in schema.RULES


# By a property of the request alone; the order of schema.Exclusion is that in which the first wins.
OF_REQUESTS: dict[Exclusion, Reason] = {
    Exclusion.METHOD: Reason("R3", "not a GET (a method the log does not tell passes)"),
    Exclusion.STATUS: Reason(
        "R4, R6, R7",
        "server logs: a status other than 200 and 206; prefix: other than 200, 206, 301, 302, 303, 307, 308",
    ),
    Exclusion.NOT_MEDIA: Reason(
        "ours", "a page, picture, feed, script or playlist by its extension; a path without one is media"
    ),
    Exclusion.PROBE: Reason(
        "R8",
        "bytes 0-1 only; a prefix keeps it, marked `is_first_two`: Apple's player asks it for no more",
    ),
    Exclusion.WATCH_DUPLICATE: Reason(
        "R9",
        "the agent begins with `atc/` and has `watchOS`, or contains `(null)/(null) watchOS`: "
        "a watch repeats its telephone",
    ),
    Exclusion.BOT: Reason(
        "R10", "a known bot, or an unknown agent that says bot, crawler or spider", "agents"
    ),
    Exclusion.BOT_LIBRARY: Reason("R10", "an HTTP library the agent list calls automated", "agents"),
    Exclusion.NO_AGENT: Reason("R10", "no user agent"),
    Exclusion.DATACENTER: Reason(
        "R10",
        "an address of a data-centre list, for browsers, libraries and unknown agents only: "
        "apps arrive through VPNs",
        "datacenters",
    ),
    Exclusion.BOGUS_REFERRER: Reason("R10", "a referrer of the exclusion list", "bogus_referrers"),
    Exclusion.EXCLUDED_ADDRESS: Reason("R12", "an address of the exclusion list", "excluded_addresses"),
}

# Decided where the catalogue and the window are known.
BEFORE_PUBLICATION = "before_publication"
BELOW_THRESHOLD = "below_threshold"
DUPLICATE = "duplicate"
REDELIVERED = "redelivered_line"
_LATER: dict[str, Reason] = {
    BEFORE_PUBLICATION: Reason("ours", "earlier than the episode's publication time"),
    BELOW_THRESHOLD: Reason("R5, R13, R14", "its window holds less than one minute of content"),
    DUPLICATE: Reason("R17", "a further request of a window that is a download"),
    REDELIVERED: Reason("ours", "a log line that was delivered twice: no request of its own"),
}

REASONS: dict[str, Reason] = {**{str(name): OF_REQUESTS[name] for name in Exclusion}, **_LATER}
