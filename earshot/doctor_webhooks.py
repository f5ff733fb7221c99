"""What `earshot doctor` says of who is told of changes: endpoints, deliveries, senders, secrets."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from earshot.finding import Finding, Verdict
from earshot.podcast_status import span
from ingest.settings import PREFIX, SettingError, Settings

if TYPE_CHECKING:
    from registry.delivery_log import EndpointSummary
    from registry.subscriptions import Subscription

_NAMED = 5  # endpoints of a finding
_SENDERS = "start `earshot run`, or `earshot deliver`"


def webhooks(settings: Settings) -> Iterator[Finding]:
    """Look at everything that tells who asked. A registry that does not answer is told of with podcasts."""
    from sqlalchemy.exc import DBAPIError

    yield from _guards(settings)
    try:
        yield from _endpoints(settings)
    except (SettingError, DBAPIError):
        return


def _endpoints(settings: Settings) -> Iterator[Finding]:
    from ingest.lake import utc_now_us
    from orchestration.constants import DEAD_LETTERS_S
    from registry.database import FILE_NAME, connected, is_current
    from registry.dead_letters import given_up
    from registry.delivery_log import senders, summary
    from registry.subscriptions import listing
    from registry.tables import SubscriptionState

    what, now_us = "webhooks", utc_now_us()
    file = None if settings.registry else settings.data / FILE_NAME
    nobody = Finding(what, "nobody is told of changes: `earshot subscribe URL`")
    if file is not None and not file.exists():
        yield nobody
        return
    if not is_current(settings.registry, settings.data):
        return
    with connected(settings.registry, settings.data) as engine:
        endpoints, subscriptions = summary(engine, now_us), listing(engine)
        newly_dead = given_up(engine, now_us - DEAD_LETTERS_S * 1_000_000)
        sending = senders(engine, now_us)
    if not endpoints:
        yield nobody
        return
    disabled = [each for each in endpoints if each.state is SubscriptionState.DISABLED]
    found = f"{len(endpoints):,} endpoints, {len(disabled):,} of them disabled"
    if disabled:
        since = (
            f"{each.subscription_id} since {_ago(each.state_us, now_us)}: {each.reason}" for each in disabled
        )
        advice = "mend it, `earshot resume ID`, then `earshot replay` what it missed"
        yield Finding(what, f"{found}: {_some(since, len(disabled))}", Verdict.ODD, advice)
    else:
        yield Finding(what, found)
    yield _waiting(endpoints, bool(sending), now_us)
    yield _dead(newly_dead)
    yield from _secrets(subscriptions)
    if file is not None:
        yield from _readable(file)


def _waiting(endpoints: list[EndpointSummary], is_sending: bool, now_us: int) -> Finding:
    """Deliveries to active endpoints that are not paused; the others wait by right."""
    from orchestration.constants import MAX_DELIVERY_WAIT_S
    from registry.tables import SubscriptionState

    what = "deliveries"
    taking = [
        each
        for each in endpoints
        if each.state is SubscriptionState.ACTIVE and each.paused_until_us <= now_us and each.due
    ]
    oldest_us = min((each.oldest_due_us for each in taking if each.oldest_due_us is not None), default=now_us)
    number = sum(each.due for each in taking)
    found = f"{number:,} {'is' if number == 1 else 'are'} due"
    if taking:
        found += f", the oldest for {span(now_us - oldest_us)}"
    if now_us - oldest_us <= MAX_DELIVERY_WAIT_S * 1_000_000:
        return Finding(what, found)
    if not is_sending:
        return Finding(what, f"{found}, and nobody sends", Verdict.ODD, _SENDERS)
    advice = "which endpoint is slow, or has too low a rate? `earshot subscriptions`"
    return Finding(what, found, Verdict.ODD, advice)


def _dead(newly_dead: dict[int, int]) -> Finding:
    from orchestration.constants import DEAD_LETTERS_S

    what, hours = "dead letters", DEAD_LETTERS_S // 3600
    if not newly_dead:
        return Finding(what, f"none in {hours} h")
    total = sum(newly_dead.values())
    worst = sorted(newly_dead.items(), key=lambda item: -item[1])
    counts = (f"{number:,} of subscription {subscription}" for subscription, number in worst)
    return Finding(
        what,
        f"{total:,} deliveries were given up in {hours} h: {_some(counts, len(worst))}",
        Verdict.ODD,
        "`earshot deliveries --state dead` says why, `earshot replay` sends them again",
    )


def _secrets(subscriptions: Iterable[Subscription]) -> Iterator[Finding]:
    """Secrets that are none: nobody can subscribe with such a one, but rows are also written by hand."""
    from registry.subscribing import BadSubscription, checked_secret

    for each in subscriptions:
        try:
            checked_secret(each.secret)
        except BadSubscription as error:
            advice = f"`earshot rotate-secret {each.subscription_id}`"
            yield Finding(f"subscription {each.subscription_id}", str(error), Verdict.WRONG, advice)


def _readable(file: Path) -> Iterator[Finding]:
    """The registry's file holds the secrets: nobody else should read it."""
    of_file, of_folder = file.stat().st_mode, file.parent.stat().st_mode
    for who, read, enter in (
        ("its group", stat.S_IRGRP, stat.S_IXGRP),
        ("everybody", stat.S_IROTH, stat.S_IXOTH),
    ):
        if of_file & read and of_folder & enter:
            found = f"{file} holds the endpoints' secrets, and {who} on this machine can read it"
            yield Finding("registry's file", found, Verdict.ODD, f"chmod 600 {file}*")
            return


def _guards(settings: Settings) -> Iterator[Finding]:
    """Settings that switch a guard of the sender off."""
    if settings.webhook_test_hosts:
        found = f"webhooks may go to private addresses: {settings.webhook_test_hosts}"
        advice = "for tests and demos only: unset it where strangers subscribe"
        yield Finding(f"{PREFIX}WEBHOOK_TEST_HOSTS", found, Verdict.ODD, advice)


def _some(each: Iterable[str], of: int) -> str:
    named = "; ".join(text for text, _ in zip(each, range(_NAMED), strict=False))
    return named if of <= _NAMED else f"{named} and {of - _NAMED:,} more"


def _ago(us: int, now_us: int) -> str:
    return span(max(now_us - us, 0))
