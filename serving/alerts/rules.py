"""What is worth an alert: pure functions over what was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from ingest.feeds.schedule import MAX_OVERDUE_SHARE, PROMISE_S
from ingest.feeds.schema import Tier
from ingest.logs.listeners import EPOCH_DAYS
from ingest.schema import DAY_US, FileStatus
from registry.subscriptions import Subscription
from registry.tables import SubscriptionState
from serving.alerts.alert import Alert, Kind, Severity
from serving.webhooks.outcomes import printable

MARTS_BEHIND_S = 1800  # files that count are in the published marts by then; a whole build takes minutes
DISK_CRITICAL_GB = 2.0  # intake stops when the disk is full: doctor's FREE_GB_NEEDED
FILES_DAYS = 30  # how long a file that does not count is told about: the check `nothing_held_back`
_KEY_USED_DAYS = 2 * EPOCH_DAYS  # an epoch and the overlap after it (DESIGN, Privacy)
_NAMED = 3


def promises(by_tier: pl.DataFrame) -> list[Alert]:
    """Of `ingest.feeds.schedule.overdue`: tiers of which more than 1 % is late."""
    broken = by_tier.filter(pl.col("overdue") > MAX_OVERDUE_SHARE * pl.col("podcasts"))
    return [
        Alert(
            Kind.PROMISE_BROKEN,
            f"feeds of tier {tier}",
            Severity.CRITICAL if late > podcasts / 2 else Severity.WARNING,
            f"{late:,} of {podcasts:,} podcasts of tier {tier} were polled longer ago than the promised "
            f"{PROMISE_S[Tier(tier)] // 60:,} min.",
            "See that `earshot run` works and the network answers; then start another "
            "`earshot sweep --forever` beside it.",
            amount=late,
        )
        for tier, podcasts, late in broken.select("tier", "podcasts", "overdue").iter_rows()
    ]


def marts_behind(ledger: pl.DataFrame, published_us: int | None, now_us: int) -> list[Alert]:
    """Files that count, taken in after the last publication and longer ago than MARTS_BEHIND_S.

    ledger: FILES rows. published_us: when the current version was made; None: none is.
    """
    waiting = ledger.filter(
        (pl.col("status") == FileStatus.TAKEN.value)
        & (pl.col("requests") > 0)
        & (pl.col("taken_in_us") > (published_us or 0))
        & (pl.col("taken_in_us") < now_us - MARTS_BEHIND_S * 1_000_000)
    )
    if waiting.is_empty():
        return []
    minutes = (now_us - min(waiting["taken_in_us"].to_list())) // 60_000_000
    return [
        Alert(
            Kind.PROMISE_BROKEN,
            "published marts",
            Severity.CRITICAL,
            f"{waiting.height:,} files taken in are not in the published marts, the oldest for {minutes:,} "
            f"min; {MARTS_BEHIND_S // 60} are promised.",
            "Open the job `marts` in Dagster: a failed run says why; if none runs, see that `earshot run` "
            "works.",
            amount=minutes,
        )
    ]


def rejects(ledger: pl.DataFrame, max_share: float, least: int, now_us: int) -> list[Alert]:
    """Files that do not count (critical), and sources with many rejects in 24 h (warning).

    ledger: FILES rows of the last FILES_DAYS. least: fewer rejects than this are no matter.
    """
    alerts = {}
    # A file delivered again, mended, counts instead of the one before.
    latest = ledger.sort("taken_in_us").unique(["source", "file_name"], keep="last", maintain_order=True)
    day = latest.filter(pl.col("taken_in_us") > now_us - DAY_US)
    shares = day.group_by("source").agg(
        rejects=pl.col("rejects").fill_null(0).sum(), lines=pl.col("lines").fill_null(0).sum()
    )
    many = shares.filter((pl.col("rejects") >= least) & (pl.col("rejects") > max_share * pl.col("lines")))
    for source, bad, lines in many.select("source", "rejects", "lines").iter_rows():
        alerts[source] = Alert(
            Kind.REJECTS,
            source,
            Severity.WARNING,
            f"{bad:,} of {lines:,} lines of source {source} could not be read within 24 h: "
            f"{bad / lines:.1%}, over {max_share:.0%}.",
            "Look at the asset `rejects` for the reasons; most often the log format changed at the sender.",
            amount=bad,
        )
    does_not_count = [FileStatus.HELD.value, FileStatus.REJECTED.value]
    held = latest.filter(pl.col("status").is_in(does_not_count))
    for (source,), files in held.partition_by("source", as_dict=True, maintain_order=True).items():
        names = ", ".join(files["file_name"].tail(_NAMED).to_list())
        alerts[source] = Alert(
            Kind.REJECTS,
            str(source),
            Severity.CRITICAL,
            printable(
                f"{files.height:,} files of source {source} do not count, last {names}: too many rejects, or "
                "not readable.",
                500,
            ),
            "Deliver them mended under the same name; the check `nothing_held_back` and `earshot doctor` "
            "name file and reason.",
            amount=files.height,
        )
    return sorted(alerts.values(), key=lambda alert: alert.subject)


def disabled_endpoints(subscriptions: Iterable[Subscription]) -> list[Alert]:
    """Endpoints that nothing is sent to any more."""
    return [
        Alert(
            Kind.ENDPOINT_DISABLED,
            f"subscription {each.subscription_id}",
            Severity.WARNING,
            printable(
                f"Nothing is sent to the endpoint of subscription {each.subscription_id} (tenant "
                f"{each.tenant}): {each.reason or 'it is disabled'}.",
                400,
            ),
            f"Have it mended, then `earshot resume {each.subscription_id}`, then `earshot replay` what it "
            "missed.",
        )
        for each in subscriptions
        if each.state is SubscriptionState.DISABLED
    ]


def low_disk(free_bytes: Mapping[str, int], wanted_gb: float) -> list[Alert]:
    """Of folders (what it is → free bytes), those on a disk with little room."""
    return [
        Alert(
            Kind.LOW_DISK,
            what,
            Severity.CRITICAL if free < DISK_CRITICAL_GB * 1e9 else Severity.WARNING,
            f"The disk of the {what} has {free / 1e9:,.1f} GB free; less than "
            f"{max(wanted_gb, DISK_CRITICAL_GB):g} GB is little.",
            "Free some space, or lower EARSHOT_KEEP_VERSIONS or EARSHOT_KEEP_DAYS; when it is full, intake "
            "stops and loses nothing.",
        )
        for what, free in sorted(free_bytes.items())
        if free < max(wanted_gb, DISK_CRITICAL_GB) * 1e9
    ]


def key_rotation(made_us: Mapping[int, int], now_us: int) -> list[Alert]:
    """Keys of the listener hash (epoch → when its file was made, µs) that are used for too long.

    A new epoch's key is made by the first request in it. So a rotation is due when the newest key is older
    than its epoch and today's has none; a key whose epoch and overlap are over should be destroyed.
    """
    if not made_us:
        return []
    today, newest = now_us // (EPOCH_DAYS * DAY_US), max(made_us)
    alerts = []
    age_days = (now_us - made_us[newest]) // DAY_US
    if newest < today and age_days > EPOCH_DAYS:
        alerts.append(
            Alert(
                Kind.KEY_ROTATION,
                "newest key",
                Severity.WARNING,
                f"The newest key of the listener hash, of epoch {newest}, is {age_days:,} days old, and "
                f"epoch {today} has begun without one.",
                "A request of today makes the next key: see that logs still arrive and are taken in.",
                amount=age_days,
            )
        )
    old = sorted(epoch for epoch, at_us in made_us.items() if now_us - at_us > _KEY_USED_DAYS * DAY_US)
    spent = [epoch for epoch in old if (epoch + 2) * EPOCH_DAYS * DAY_US <= now_us]
    if spent:
        named = ", ".join(f"epoch-{epoch}.key" for epoch in spent[:_NAMED])
        alerts.append(
            Alert(
                Kind.KEY_ROTATION,
                "old keys",
                Severity.WARNING,
                f"{len(spent):,} keys of the listener hash are kept after their epoch and overlap "
                f"of {_KEY_USED_DAYS} days: {named}.",
                "Destroy them once no log of their time will be taken in any more, also in backups; with "
                "them, hashes can be traced to addresses.",
                amount=len(spent),
            )
        )
    return alerts
