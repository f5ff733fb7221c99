"""What `earshot doctor` says of alerts: who is told, whether that works, what is wrong now."""

from __future__ import annotations

from collections.abc import Iterator

from earshot.finding import Finding, Verdict
from earshot.podcast_status import span
from ingest.settings import SettingError, Settings

_LATE_US = 600_000_000  # looks are a minute apart


def alerts(settings: Settings) -> Iterator[Finding]:
    """Channels that are not set, cannot be used or fail; looks that are not made; alerts that are there."""
    from ingest.lake import utc_now_us
    from serving.alerts import state as states
    from serving.alerts.channels import channels

    now_us, state = utc_now_us(), states.read(settings.data)
    try:
        ways = channels(settings)
    except SettingError as error:
        yield Finding("alerts", str(error), Verdict.WRONG, "mend it, then `earshot alerts test`")
        return
    if not ways:
        advice = "set EARSHOT_ALERT_EMAIL_TO or EARSHOT_ALERT_WEBHOOK_URL: docs/operations.md"
        yield Finding("alerts", "nobody is told when something is wrong", Verdict.ODD, advice)
    for name in ways:
        channel = state.channels.get(name)
        if channel is None or (channel.problem is None and channel.told_us is None):
            yield Finding(f"alerts by {name}", "set, and not used yet: `earshot alerts test` tries it")
        elif channel.problem is None:
            yield Finding(f"alerts by {name}", f"last taken {span(now_us - (channel.told_us or now_us))} ago")
        else:
            lasting = span(now_us - (channel.failing_since_us or now_us))
            found = channel.problem
            if channel.failures:  # none: it was taken for some recipients
                found += f"; {channel.failures:,} failures in a row, for {lasting}"
            yield Finding(f"alerts by {name}", found, Verdict.WRONG, "mend it, then `earshot alerts test`")
    yield from _damaged(settings)
    there = [each for each in state.alerts.values() if each.gone_us is None]
    last_us = max(state.looked.values(), default=None)
    if state.damaged:
        found = "the file of their state cannot be read"
        yield Finding("alerts now", found, Verdict.ODD, "the next look begins anew and tells all again")
    elif last_us is None:
        yield Finding("alerts now", "nobody has looked yet: `earshot run` does, each minute")
    elif now_us - last_us > _LATE_US:
        found = f"nobody has looked for {span(now_us - last_us)}"
        advice = "start `earshot run`, or have a timer call `earshot alerts look`"
        yield Finding("alerts now", found, Verdict.ODD, advice)
    elif there:
        yield Finding("alerts now", f"{len(there):,}", Verdict.ODD, "`earshot alerts list`")
    else:
        yield Finding("alerts now", "none")


def _damaged(settings: Settings) -> Iterator[Finding]:
    from serving.alerts import failures
    from serving.alerts.state import folder, set_aside_before

    advice = "the next look sets it aside and begins it anew; what it said of failed runs is in Dagster"
    try:
        failures.known_failures(settings.data)
    except ValueError:
        found = f"{folder(settings.data) / failures.FILE} cannot be read"
        yield Finding("failed runs", found, Verdict.WRONG, advice)
    if aside := set_aside_before(settings.data):
        named = ", ".join(map(str, aside))
        advice = "why? Look at the system's log and `earshot verify`; then remove it"
        yield Finding("alerts set aside", f"damaged: {named}", Verdict.ODD, advice)
