"""Why an endpoint got what it got since a time, or got nothing: facts of the log, and sentences of them."""

from __future__ import annotations

from dataclasses import dataclass

from earshot.podcast_status import span
from earshot.times import shown
from earshot.webhook_settings import TEST_HOSTS
from registry.delivery_log import EndpointSummary, Outcomes
from registry.matched import Matched
from registry.sending_now import Head
from registry.subscribing import Mode, PodcastFilter
from registry.subscriptions import Subscription
from registry.tables import SubscriptionState
from serving.webhooks.outcomes import Outcome

_START = "start `earshot run`, or `earshot deliver`"
# `earshot run` looks for what is due every so often; what is due for longer nobody sends.
_IDLE_US = 2 * 60 * 1_000_000
_SHOWN_KEYS = 5
_SHOWN_OUTCOMES = 5


@dataclass(frozen=True)
class Facts:
    """What is known of an endpoint between `since_us` and `now_us`."""

    subscription: Subscription
    fares: EndpointSummary
    since_us: int
    now_us: int
    messages: int  # made for it since
    changes: int  # that these tell of
    outcomes: tuple[Outcomes, ...]  # of its attempts since
    matched: Matched | None  # what changed since, by filter; None: the lake was not asked
    head: Head | None  # of an ordered endpoint for which something waits
    sender: str | None  # is at its shard now
    senders: int  # that are at any shard
    requested_us: int | None  # when anybody was last sent a request


def answer(facts: Facts) -> list[str]:
    """Sentences for people: the reason first, then what else is known."""
    reason = _reason(facts)
    return [reason, *(line for line in [*_made(facts), *_attempted(facts), *_ahead(facts)] if line != reason)]


def explained(outcome: str | None) -> str | None:
    """What to do about an outcome that is no doing of the endpoint's."""
    if outcome == Outcome.PRIVATE_ADDRESS:
        return f"{TEST_HOSTS}, set where the sender runs, names hosts that may be private, for tests"
    return None


def _reason(facts: Facts) -> str:
    """In one sentence, why it gets nothing; or that it gets what it should."""
    of, fares, now_us = facts.subscription, facts.fares, facts.now_us
    name = f"endpoint {of.subscription_id}"
    if of.state is SubscriptionState.ENDED:
        return f"{name} was unsubscribed {_when(of.state_us, now_us)}: nothing is sent to it any more"
    if of.state is SubscriptionState.DISABLED:
        return (
            f"{name} is disabled since {_when(of.state_us, now_us)}: {of.reason}. "
            f"`earshot resume {of.subscription_id}` has it sent to again"
        )
    if facts.head is not None and facts.head.failures:
        return _blocked(facts, facts.head)
    if fares.failing_since_us is not None:
        times = "once" if fares.failures == 1 else f"{fares.failures:,} times in a row"
        return (
            f"{name} fails: {times}, since {_when(fares.failing_since_us, now_us)}; "
            "what it should get is kept and tried again"
        )
    if (late := _late(facts)) is not None:
        return late
    if not facts.messages and not fares.waiting:
        return _nothing(facts)
    if fares.paused_until_us > now_us:
        return f"{name} asked to wait (Retry-After) until {_when(fares.paused_until_us, now_us)}"
    if fares.waiting and not _successes(facts):
        return _not_yet(facts)
    return f"{name} is sent to, and answers"


def _blocked(facts: Facts, head: Head) -> str:
    """An ordered endpoint whose oldest message fails: nothing overtakes it."""
    times = "once" if head.failures == 1 else f"{head.failures:,} times"
    why = f" ({head.detail})" if head.detail else ""
    behind = f" and holds up {head.behind:,} behind it" if head.behind else ""
    next_us = max(head.due_us, facts.fares.paused_until_us)
    then = f"next try {_when(next_us, facts.now_us)}" if next_us > facts.now_us else "its next try is due"
    name = f"endpoint {facts.subscription.subscription_id}"
    return f"{name} fails: message {head.message_id} failed {times}{why}{behind}; {then}"


def _not_yet(facts: Facts) -> str:
    """Its messages are made, and their time has not come, or has just come."""
    fares, name = facts.fares, f"endpoint {facts.subscription.subscription_id}"
    waits = f"{_waiting(fares.waiting)} for {name}"
    if not facts.messages:
        waits += f" from before {shown(facts.since_us)}; nothing new was made for it since"
    if fares.next_due_us is None:
        return f"{waits}; being sent now"
    if fares.next_due_us <= facts.now_us:
        return f"{waits}; due since {_when(fares.next_due_us, facts.now_us)}"
    return f"{waits}; the first is due {_when(fares.next_due_us, facts.now_us)}"


def _nothing(facts: Facts) -> str:
    name = f"endpoint {facts.subscription.subscription_id}"
    return f"nothing that {name} asks for changed since {shown(facts.since_us)}"


def _late(facts: Facts) -> str | None:
    """What could go out for long, and did not."""
    fares, of, now_us = facts.fares, facts.subscription, facts.now_us
    if of.state is not SubscriptionState.ACTIVE or fares.oldest_due_us is None:
        return None
    if facts.head is not None and facts.head.due_us > now_us:
        return None  # what is due behind it must wait for it
    since_us = max(fares.oldest_due_us, fares.paused_until_us)
    if now_us - since_us < _IDLE_US:
        return None
    waits = f"{_waiting(fares.due)} for endpoint {of.subscription_id} since {_when(since_us, now_us)}"
    if facts.sender is not None and now_us - _last_us(facts) < _IDLE_US:
        rate = f", {of.rate_per_s:g} requests a second at most" if of.rate_per_s else ""
        return f"{waits}: it is sent to{rate}, and more is due than goes out"
    if facts.sender is not None:
        return f"{waits}, and no sender has come for it, although one is running"
    if facts.senders:
        return f"{waits}, and no sender has come for it: those running are not at its shard, {of.shard}"
    if facts.requested_us is not None and now_us - facts.requested_us < _IDLE_US:
        return f"{waits}, and no sender has come for it; {_requested(facts)}"
    return f"{waits}, and nobody sends: {_START}"


def _last_us(facts: Facts) -> int:
    """When it was last sent something, as far as is known."""
    return max((each.last_us for each in facts.outcomes), default=facts.fares.succeeded_us or 0)


def _requested(facts: Facts) -> str:
    if facts.requested_us is None:
        return "no request was made to anybody yet"
    return f"the last request to anybody was {span(max(0, facts.now_us - facts.requested_us))} ago"


def _made(facts: Facts) -> list[str]:
    """What matched, and what did not."""
    of, since = facts.subscription, shown(facts.since_us)
    lines = []
    if facts.since_us < of.created_us:
        lines.append(f"it was subscribed {_when(of.created_us, facts.now_us)}: earlier changes are not told")
    if facts.messages:
        told = f"{_some(facts.messages, 'message')} of {_some(facts.changes, 'change')}"
        lines.append(f"since {since} {told} {'was' if facts.messages == 1 else 'were'} made for it")
    elif _reason(facts) != _nothing(facts):
        lines.append(f"since {since} no message was made for it")
    lines.append(f"it asks for: {asked_for(of)}")
    if facts.matched is not None:
        lines += _filtered(facts.matched, of)
        if facts.matched.told and not facts.changes and of.state is SubscriptionState.ACTIVE:
            lines.append("what is left is not handed over yet: the next sweep does it")
    return lines


def _filtered(matched: Matched, of: Subscription) -> list[str]:
    """What changed, filter by filter down to what it is told of."""
    if not matched.podcasts:
        return [f"{of.tenant} tracks no podcast: `earshot register URL --tenant {of.tenant}`"]
    where = f"the {_some(matched.podcasts, 'podcast')} that {of.tenant} tracks"
    if not matched.changes:
        return [f"nothing changed in {where}"]
    steps = []
    if of.podcasts != PodcastFilter():
        are = "is" if matched.of_podcasts == 1 else "are"
        steps.append(f"{matched.of_podcasts:,} {are} of the podcasts it asks for")
    if of.types:
        steps.append(f"{matched.of_types:,} of its types")
    steps.append(f"{matched.told:,} {'of its fields' if of.fields else 'not minor'}: those it is told of")
    return [f"of {_some(matched.changes, 'change')} in {where}, {', '.join(steps)}"]


def _attempted(facts: Facts) -> list[str]:
    """How its attempts ended, and the last success."""
    good = _successes(facts)
    bad = [each for each in facts.outcomes if each.outcome not in (None, Outcome.SENT)]
    lines = []
    if good or bad:
        lines.append(f"since {shown(facts.since_us)} {_some(good, 'request')} succeeded")
    for each in bad[:_SHOWN_OUTCOMES]:
        status = "" if each.status is None else f" {each.status}"
        detail = f": {each.detail}" if each.detail else ""
        last, advice = _when(each.last_us, facts.now_us), explained(each.outcome)
        failed = f"{_some(each.attempts, 'request')} failed, {each.outcome}{status}, last {last}{detail}"
        lines.append(f"{failed}; {advice}" if advice else failed)
    if len(bad) > _SHOWN_OUTCOMES:
        lines.append(f"… and {_some(sum(each.attempts for each in bad[_SHOWN_OUTCOMES:]), 'request')} more")
    last_us = facts.fares.succeeded_us
    lines.append(f"last success: {'none yet' if last_us is None else _when(last_us, facts.now_us)}")
    return lines


def _successes(facts: Facts) -> int:
    return sum(each.attempts for each in facts.outcomes if each.outcome == Outcome.SENT)


def _ahead(facts: Facts) -> list[str]:
    """What waits, when it goes out, what is given up, and who sends."""
    of, fares, now_us = facts.subscription, facts.fares, facts.now_us
    lines = []
    if fares.waiting:
        lines.append(_waits(fares))
    if (late := _late(facts)) is not None:
        lines.append(late)
    if of.state is SubscriptionState.ACTIVE and fares.paused_until_us > now_us:
        lines.append(f"paused until {_when(fares.paused_until_us, now_us)}")
    if fares.next_due_us is not None and of.state is SubscriptionState.ACTIVE:
        due_us = fares.next_due_us if facts.head is None else facts.head.due_us
        next_us = max(due_us, fares.paused_until_us)
        lines.append(f"next attempt: {_when(next_us, now_us) if next_us > now_us else 'now'}")
    if fares.dead:
        again = f"`earshot replay {of.subscription_id} --failed-since {shown(facts.since_us)}`"
        if of.state is SubscriptionState.DISABLED:
            again = f"`earshot resume {of.subscription_id}`, then {again}"
        how = "" if of.state is SubscriptionState.ENDED else f"; sent once more by {again}"
        lines.append(f"{_some(fares.dead, 'dead letter')} kept{how}")
    if of.state is not SubscriptionState.ACTIVE:
        return lines
    if facts.sender is not None:
        lines.append("a sender is running")
    elif facts.senders:
        lines.append("senders are running, none at this endpoint right now")
    else:
        lines.append(f"no sender is at work right now; {_requested(facts)}")
    return lines


def _waits(fares: EndpointSummary) -> str:
    if fares.waiting == 1:
        tried = "failed before" if fares.failed else "not tried yet"
        parts = [tried, "due now" if fares.due else "not due yet"]
    else:
        parts = [f"{fares.failed:,} of them failed before"] if fares.failed else []
        parts.append(f"{fares.due:,} of them due now")
    if fares.state is not SubscriptionState.ACTIVE:
        parts.pop()
    return ", ".join([_waiting(fares.waiting), *parts])


def asked_for(subscription: Subscription) -> str:
    """Its filters and when it hears, in words."""
    parts = [
        ", ".join(subscription.types) or "all types of changes",
        _of_podcasts(subscription.podcasts, subscription.tenant),
    ]
    if subscription.fields:
        parts.append(f"of updates only {', '.join(subscription.fields)}")
    if subscription.mode == Mode.SCHEDULED:
        size = subscription.batch_size
        parts.append(f"in batches of up to {size:,} by `{subscription.cron}` ({subscription.time_zone})")
    else:
        within = f" within {subscription.coalesce_s:g} s" if subscription.coalesce_s else " at once"
        parts.append(f"told{within}{', in order' if subscription.is_ordered else ''}")
    return "; ".join(parts)


def _of_podcasts(which: PodcastFilter, tenant: str) -> str:
    if which.labels:
        return f"of podcasts that {tenant} labels {' or '.join(which.labels)}"
    if which.keys:
        shown = ", ".join(map(str, which.keys[:_SHOWN_KEYS]))
        more = f" and {len(which.keys) - _SHOWN_KEYS:,} more" if len(which.keys) > _SHOWN_KEYS else ""
        return f"of podcasts {shown}{more}"
    return f"of all podcasts that {tenant} tracks"


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _waiting(number: int) -> str:
    return f"{_some(number, 'message')} wait{'s' if number == 1 else ''}"


def _when(at_us: int, now_us: int) -> str:
    apart = now_us - at_us
    return f"{shown(at_us)} ({f'{span(apart)} ago' if apart >= 0 else f'in {span(-apart)}'})"
