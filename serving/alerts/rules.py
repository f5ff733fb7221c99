"""What is worth an alert: pure functions over what was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from ingest.feeds.schedule import MAX_OVERDUE_SHARE, PROMISE_S
from ingest.feeds.schema import Tier
from ingest.logs.keyring import EPOCH_DAYS, EPOCH_US, LISTS_EPOCH, KeyEpoch
from ingest.schema import DAY_US, FileStatus
from registry.subscriptions import Subscription
from registry.tables import SubscriptionState
from serving.alerts.alert import Alert, Kind, Severity
from serving.edge.check import Looked
from serving.webhooks.outcomes import printable

MARTS_BEHIND_S = 1800  # files that count are in the published marts by then; a whole build takes minutes
DISK_CRITICAL_GB = 2.0  # intake stops when the disk is full: doctor's FREE_GB_NEEDED
FILES_DAYS = 30  # how long a file that does not count is told about: the check `nothing_held_back`
_DESTROYED_WITHIN_US = 2 * DAY_US  # of its time: maintenance runs once a night
_NAMED = 3
# Of `earshot edge check`: listeners get no enclosure or nothing is counted, now or after the next start.
_LISTENERS_WAIT = ("nginx", "configuration", "hosts", "running", "log")


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


def prefix(looked: Iterable[Looked]) -> list[Alert]:
    """Of `serving.edge.check`: where listeners or lines of the prefix are at stake."""
    amiss: dict[str, list[Looked]] = {}
    for each in looked:
        if each.advice and each.is_wrong:
            amiss.setdefault(each.what, []).append(each)
    return [
        Alert(
            Kind.PREFIX,
            what,
            Severity.CRITICAL if what in _LISTENERS_WAIT else Severity.WARNING,
            printable(f"The prefix is not as it should be: {what}: {each[0].found}.", 500),
            printable("; ".join(one.advice for one in each), 500),
        )
        for what, each in amiss.items()
    ]


def key_rotation(epochs: Iterable[KeyEpoch], late_days: int, now_us: int) -> list[Alert]:
    """Secrets of the listener hash that are used for too long.

    A new epoch's secret is made by the first request in it. So a rotation is due when the newest is older
    than its epoch and today's has none; one that nothing needs any more should be destroyed by now.
    """
    there = [each for each in epochs if each.destroyed_us is None and each.epoch != LISTS_EPOCH]
    if not there:
        return []
    today, newest = now_us // EPOCH_US, max(there, key=lambda each: each.epoch)
    alerts = []
    age_days = (now_us - (newest.made_us or now_us)) // DAY_US
    if newest.epoch < today and age_days > EPOCH_DAYS:
        alerts.append(
            Alert(
                Kind.KEY_ROTATION,
                "newest key",
                Severity.WARNING,
                f"The newest key of the listener hash, of epoch {newest.epoch}, is {age_days:,} days old, "
                f"and epoch {today} has begun without one.",
                "A request of today makes the next key: see that logs still arrive and are taken in.",
                amount=age_days,
            )
        )
    spent = [each.epoch for each in there if now_us >= each.due_us(late_days) + _DESTROYED_WITHIN_US]
    if spent:
        named = ", ".join(f"epoch-{epoch}.key" for epoch in spent[:_NAMED])
        alerts.append(
            Alert(
                Kind.KEY_ROTATION,
                "old keys",
                Severity.WARNING,
                f"{len(spent):,} keys of the listener hash are there, though nothing needs them since their "
                f"epoch, the overlap and {late_days} days for late files are over: {named}.",
                "The nightly maintenance destroys them: see that it runs, or run `earshot privacy rotate`. "
                "With them, hashes can be traced to addresses.",
                amount=len(spent),
            )
        )
    return alerts
