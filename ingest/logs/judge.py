"""Why a request by itself does not count: a pure function of what the lake keeps, so it can be made again."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from ingest.schema import Exclusion, SourceClass

SERVED = [200, 206]
REDIRECTS = [301, 302, 303, 307, 308]
_COUNTED_STATUS = {SourceClass.SERVER_LOG: SERVED, SourceClass.PREFIX: SERVED + REDIRECTS}
# Data-centre lists apply to these only: real apps arrive through VPNs and relays (R10).
_DATACENTER_TYPES = ["browser", "library", "unknown"]


@dataclass(frozen=True)
class ListedByKey:
    """Is a row (address_key, address_key_prev) on the operator's lists by its key?

    One address goes before the network it is in; of both lists the inclusion wins.
    """

    excluded: pl.Expr = field(default_factory=lambda: pl.lit(False))
    included: pl.Expr = field(default_factory=lambda: pl.lit(False))


def exclusion_reason(source_class: SourceClass, by_key: ListedByKey | None = None) -> pl.Expr:
    """Of a row of REQUESTS the first reason that applies, in the order of schema.Exclusion (MEASUREMENT §2).

    Null: it qualifies. Needs `is_watch_duplicate` beside, which is cheaper to tell once an agent.
    """
    kind, by_key = pl.col("agent_type"), by_key or ListedByKey()
    in_datacenter = pl.col("in_datacenter") & ~by_key.included
    is_excluded = (pl.col("is_excluded_address") | by_key.excluded) & ~by_key.included
    # A format without a method (null) logs GET only.
    cases: dict[Exclusion, pl.Expr] = {
        Exclusion.METHOD: (pl.col("method") != "GET").fill_null(False),
        Exclusion.STATUS: ~pl.col("status").is_in(_COUNTED_STATUS[source_class]),
        Exclusion.NOT_MEDIA: ~pl.col("is_media"),
        # At a prefix AppleCoreMedia asks for 0-1 only and goes on at the host: kept, as is_first_two.
        Exclusion.PROBE: pl.lit(source_class is SourceClass.SERVER_LOG) & pl.col("is_first_two"),
        Exclusion.WATCH_DUPLICATE: pl.col("is_watch_duplicate").fill_null(False),
        Exclusion.BOT: kind == "bot",
        Exclusion.BOT_LIBRARY: kind == "bot_library",
        Exclusion.NO_AGENT: kind == "none",
        Exclusion.DATACENTER: in_datacenter & kind.is_in(_DATACENTER_TYPES),
        Exclusion.BOGUS_REFERRER: pl.col("is_bogus_referrer").fill_null(False),
        Exclusion.EXCLUDED_ADDRESS: is_excluded,
    }
    assert list(cases) == list(Exclusion)
    reason = pl.lit(None, pl.String)
    for exclusion, applies in reversed(cases.items()):
        reason = pl.when(applies).then(pl.lit(exclusion.value)).otherwise(reason)
    return reason


def referrer_app() -> pl.Expr:
    """The app or site behind the referrer: only browsers are sent by somebody else (OPAWG)."""
    return pl.when(pl.col("agent_type") == "browser").then(pl.col("referrer_match"))


def is_watch_duplicate() -> pl.Expr:
    """Of an agent (column agent): a watch repeats what its telephone has asked for (R9)."""
    agent = pl.col("agent").str
    is_watch = agent.starts_with("atc/") & agent.contains("watchOS", literal=True)
    return is_watch | agent.contains("(null)/(null) watchOS", literal=True)
