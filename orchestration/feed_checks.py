"""What must hold of the podcasts' crawl state: verdicts over STATE rows, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg
import polars as pl

from ingest.feeds.schedule import MAX_OVERDUE_SHARE, PROMISE_S
from ingest.feeds.schema import Tier
from orchestration import explained
from orchestration.checks import Verdict
from orchestration.constants import MAX_FAILING_SHARE


@dataclass(frozen=True)
class Check:
    """One check: what it says of (STATE rows, tier with podcasts and overdue)."""

    description: str
    severity: dg.AssetCheckSeverity
    judge: Callable[[pl.DataFrame, pl.DataFrame], Verdict]


def promises_kept(state: pl.DataFrame, by_tier: pl.DataFrame) -> Verdict:
    """At most 1 % of a tier's healthy podcasts were polled longer ago than the tier promises."""
    broken = by_tier.filter(pl.col("overdue") > MAX_OVERDUE_SHARE * pl.col("podcasts"))
    if broken.is_empty():
        return Verdict("promises_kept", True, f"at most {MAX_OVERDUE_SHARE:.0%} of each tier is late")
    late = "; ".join(
        f"{tier}: {overdue:,} of {podcasts:,} later than {PROMISE_S[Tier(tier)] // 60:,} min"
        for tier, podcasts, overdue in broken.iter_rows()
    )
    return Verdict(
        "promises_kept", False, f"{late}. Start another `earshot sweep --forever` beside Dagster", broken
    )


def feeds_answer(state: pl.DataFrame, by_tier: pl.DataFrame) -> Verdict:
    """At most a fifth of the podcasts that are polled failed at their last poll."""
    polled = state.filter(~pl.col("tier").is_in([Tier.DEAD.value, Tier.GONE.value]).fill_null(False))
    failing = polled.filter(pl.col("failures") > 0)
    if failing.height <= MAX_FAILING_SHARE * polled.height:
        return Verdict(
            "feeds_answer", True, f"{failing.height:,} of {polled.height:,} podcasts failed last time"
        )
    reasons = failing.group_by("reason").len("podcasts").sort("podcasts", descending=True)
    return Verdict(
        "feeds_answer",
        False,
        f"{failing.height:,} of {polled.height:,} podcasts failed last time: is this machine's network or "
        "name service in trouble? Reasons: docs/feeds.md",
        reasons,
    )


def deltas_audited(state: pl.DataFrame, by_tier: pl.DataFrame) -> Verdict:
    """No audited delta parse differed from the whole one."""
    wrong = state.filter(pl.col("mismatches") > 0)
    audits = int(state["audits"].sum())
    if wrong.is_empty():
        return Verdict("deltas_audited", True, f"{audits:,} delta parses audited, none differs")
    return Verdict(
        "deltas_audited",
        False,
        f"{int(wrong['mismatches'].sum()):,} of {audits:,} audited delta parses differ from the whole parse. "
        "This is a fault of ours: report it with the feeds; the whole parse was taken",
        wrong.select("feed_url", "deltas", "audits", "mismatches"),
    )


CHECKS = {
    "promises_kept": Check(
        explained.check(
            f"At most {MAX_OVERDUE_SHARE:.0%} of a tier's healthy podcasts were polled longer ago than the "
            "tier promises.",
            "is `earshot run` up, and does this machine reach the network? Where it is too slow, start "
            "`earshot sweep --forever` beside it (docs/feeds.md).",
        ),
        dg.AssetCheckSeverity.WARN,
        promises_kept,
    ),
    "feeds_answer": Check(
        explained.check(
            f"At most {MAX_FAILING_SHARE:.0%} of the podcasts that are polled failed last time.",
            "that many do not break at once: look at this machine's network and name server. The table "
            "counts the reasons.",
        ),
        dg.AssetCheckSeverity.WARN,
        feeds_answer,
    ),
    "deltas_audited": Check(
        explained.check(
            "The short way of reading a changed feed says what the long one says.",
            "it is a fault of ours, and the long one was taken: report it with the feeds of the table.",
        ),
        dg.AssetCheckSeverity.ERROR,
        deltas_audited,
    ),
}
