"""What `earshot doctor` says of podcasts kept current: registry, sweeps, promises, failures, sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from earshot.finding import Finding, Verdict
from earshot.podcast_status import span
from ingest.settings import PREFIX, SettingError, Settings

if TYPE_CHECKING:
    import polars as pl

_IDLE_US = 5 * 60 * 1_000_000  # nothing committed for so long though something is due: nobody sweeps
_NOTICES_WAIT_US = 10 * 60 * 1_000_000
_REASONS = 5  # told of those why feeds fail
_SWEEP = "start `earshot run`, or `earshot sweep --forever`"


def feeds(settings: Settings) -> Iterator[Finding]:
    """Look at everything that keeps podcasts current."""
    yield from _registry(settings)
    yield from _feed_sources(settings)
    yield from _notices(settings)
    yield from _guards(settings)


def _registry(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy.exc import DBAPIError

    from ingest.lake import utc_now_us
    from registry.database import FILE_NAME, connected, described, is_current
    from registry.overview import overview

    what, now_us = "registry", utc_now_us()
    try:
        where = described(settings.registry, settings.data)
        if not settings.registry and not (settings.data / FILE_NAME).exists():
            yield Finding(what, f"{where}: none yet; `earshot register URL` begins it")
            return
        if not is_current(settings.registry, settings.data):
            advice = "the next `earshot register`, `earshot list` or sweep brings it up to date"
            yield Finding(what, f"{where}: empty, or made by an older Earshot", Verdict.ODD, advice)
            return
        with connected(settings.registry, settings.data) as engine:
            known = overview(engine, now_us)
    except (SettingError, DBAPIError) as error:
        said = str(error.orig).strip().partition("\n")[0] if isinstance(error, DBAPIError) else str(error)
        advice = "until it answers no podcast is polled; nothing is lost"
        yield Finding(what, said, Verdict.WRONG, advice)
        return
    yield Finding(what, where)
    total = sum(known.by_state.values())
    if not total:
        yield Finding("podcasts", "none registered: `earshot register URL`")
        return
    told = ", ".join(f"{count:,} {state}" for state, count in known.by_state.items() if count)
    yield Finding("podcasts", f"{total:,}: {told}")
    yield from _polls(settings.lake_dir, known.polled(), known.held, now_us)
    if known.left and known.left_since_us is not None:
        ago = span(now_us - known.left_since_us)
        found = f"{known.left} shards were left by a worker that died; the first is free since {ago}"
        yield Finding("leases", found, Verdict.ODD, f"whoever sweeps next goes on there: {_SWEEP}")


def _polls(lake_root: Path, wanted: int, held: int, now_us: int) -> Iterator[Finding]:
    """`wanted`: podcasts to be polled; `held`: shards that workers have now."""
    import polars as pl

    from ingest.feeds.schedule import due_frame, overdue
    from ingest.feeds.schema import Tier
    from ingest.feeds.state import last_commit_us, read_states
    from ingest.lake import LakeDamaged

    columns = ("tier", "polled_us", "next_due_us", "failures", "reason")
    try:
        state = read_states(lake_root, columns).filter(pl.col("polled_us").is_not_null())
        committed_us = last_commit_us(lake_root)
    except (LakeDamaged, OSError) as error:
        yield Finding(
            "polls",
            f"the crawl state cannot be read: {error}",
            Verdict.WRONG,
            "run `earshot verify`; else restore it from a backup: without it all podcasts are read anew",
        )
        return
    alive = state.filter(pl.col("tier") != Tier.GONE.value)
    polled = min(alive.height, wanted)
    yield Finding("polled", f"{polled:,} of {wanted:,} podcasts at least once ({_share(polled, wanted)})")
    due = due_frame(alive, now_us)
    yield _sweeps(due.height + wanted - polled, committed_us, held, now_us)
    yield _promises(overdue(alive, now_us))
    yield _failures(alive)


def _sweeps(due: int, committed_us: int | None, held: int, now_us: int) -> Finding:
    ago = None if committed_us is None else now_us - committed_us
    last = "none committed yet" if ago is None else f"the last one committed {span(max(ago, 0))} ago"
    found = f"{last}; {due:,} podcasts are due"
    if held:
        return Finding("sweeps", f"{found}; at work on {held} shards")
    if due and (ago is None or ago > _IDLE_US):
        return Finding("sweeps", f"{found}, and nobody sweeps", Verdict.ODD, _SWEEP)
    return Finding("sweeps", found)


def _promises(by_tier: pl.DataFrame) -> Finding:
    from ingest.feeds.schedule import MAX_OVERDUE_SHARE, PROMISE_S
    from ingest.feeds.schema import Tier

    what, told, is_broken = "promises", [], False
    counts = {Tier(tier): (podcasts, late) for tier, podcasts, late in by_tier.iter_rows()}
    for tier, promise_s in PROMISE_S.items():
        if tier in counts:
            podcasts, late = counts[tier]
            told.append(f"{tier} ({span(promise_s * 1_000_000)}) {late:,} of {podcasts:,} late")
            is_broken |= late > MAX_OVERDUE_SHARE * podcasts
    if not told:
        return Finding(what, "nothing is polled yet")
    if is_broken:
        advice = "start another `earshot sweep --forever`, beside Dagster too: workers share the shards"
        return Finding(what, "; ".join(told), Verdict.ODD, advice)
    return Finding(what, "; ".join(told))


def _failures(alive: pl.DataFrame) -> Finding:
    import polars as pl

    from ingest.feeds.schema import Tier
    from orchestration.constants import MAX_FAILING_SHARE

    living = alive.filter(pl.col("tier") != Tier.DEAD.value)
    failing = living.filter(pl.col("failures") > 0)
    found = f"{failing.height:,} of {living.height:,} ({_share(failing.height, living.height)})"
    if not failing.height:
        return Finding("feeds failing", found)
    reasons = failing.group_by("reason").len("podcasts").sort("podcasts", "reason", descending=[True, False])
    told = ", ".join(f"{podcasts:,} {reason}" for reason, podcasts in reasons.head(_REASONS).iter_rows())
    found += f": {told}{', …' if reasons.height > _REASONS else ''}"
    if failing.height > MAX_FAILING_SHARE * living.height:
        advice = "is this machine's network or name service in trouble? docs/feeds.md explains the reasons"
        return Finding("feeds failing", found, Verdict.ODD, advice)
    return Finding("feeds failing", found)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"


def _feed_sources(settings: Settings) -> Iterator[Finding]:
    from ingest.feeds.sources.settings import FILE, FeedSources

    what, path = "feed sources", settings.data / FILE
    try:
        sources = FeedSources.read(settings)
    except SettingError as error:
        yield Finding(what, str(error), Verdict.WRONG, f"mend {path}: until then none of them is asked")
        return
    on = [name for name in FeedSources.model_fields if getattr(sources, name).on]
    yield Finding(what, f"{', '.join(on) or 'none'} on" + ("" if path.exists() else " (the default)"))
    for name in on:
        try:
            if sources.require_keys(name):
                yield Finding(f"keys of {name}", "set")
        except SettingError as error:
            advice = f"set the variable where sweeps run, mend {path}, or switch {name} off"
            yield Finding(f"keys of {name}", str(error), Verdict.WRONG, advice)


def _notices(settings: Settings) -> Iterator[Finding]:
    """Files in landing/hints that nobody has read yet."""
    from ingest.feeds.sources.landing import SUFFIXES
    from ingest.lake import utc_now_us
    from ingest.places import UNFINISHED, visible

    what, folder = "feed notices", settings.hints_dir
    waiting, oldest_us = 0, None
    strays = [path for path in visible(folder) if not path.is_dir()]
    for source in visible(folder):
        for path in visible(source) if source.is_dir() else ():
            name = path.name.lower()
            if name.endswith(UNFINISHED):
                continue
            if not name.endswith(SUFFIXES):
                strays.append(path)
                continue
            try:
                landed_us = path.lstat().st_mtime_ns // 1000
            except OSError:  # read meanwhile
                continue
            waiting += 1
            oldest_us = landed_us if oldest_us is None else min(oldest_us, landed_us)
    if strays:
        found = f"nobody reads {len(strays):,} of the files, such as {strays[0].relative_to(folder)}"
        advice = f"notices are {' or '.join(SUFFIXES)} files in {folder}/<source>/"
        yield Finding(what, found, Verdict.ODD, advice)
    if oldest_us is None:
        yield Finding(what, f"none wait in {folder}")
        return
    age_us = max(utc_now_us() - oldest_us, 0)
    files = "1 file waits" if waiting == 1 else f"{waiting:,} files wait"
    found = f"{files} in {folder}, the oldest for {span(age_us)}"
    if age_us > _NOTICES_WAIT_US:
        advice = "start `earshot run`: it reads them every few seconds, and says which it cannot use"
        yield Finding(what, found, Verdict.ODD, advice)
    else:
        yield Finding(what, found)


def _guards(settings: Settings) -> Iterator[Finding]:
    """Settings that switch a guard of the poller off."""
    from registry.polling import fetch_settings

    advice = "for tests and demos only: unset it where real feeds are polled"
    if settings.feed_test_hosts:
        found = f"feeds may come from private addresses: {settings.feed_test_hosts}"
        yield Finding(f"{PREFIX}FEED_TEST_HOSTS", found, Verdict.ODD, advice)
    if settings.feed_resolve:
        try:
            fetch_settings(settings)
        except SettingError as error:
            yield Finding(f"{PREFIX}FEED_RESOLVE", str(error), Verdict.WRONG, advice)
            return
        found = f"{settings.feed_resolve} is asked for addresses instead of DNS"
        yield Finding(f"{PREFIX}FEED_RESOLVE", found, Verdict.ODD, advice)
