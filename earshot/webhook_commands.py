"""The commands of webhook endpoints, from subscribe to unsubscribe; and listen, to develop one."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from earshot import webhook_log_commands
from earshot.commands import Output
from earshot.exit_codes import FAILED
from earshot.registry_at_hand import registry_at_hand
from earshot.webhook_settings import SECRET, TEST_HOSTS
from ingest.settings import Settings
from registry.registration import DEFAULT_TENANT

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine

    from registry.subscribing import BadSubscription, SubscriptionWish
    from registry.subscriptions import Subscription
    from serving.webhooks.outcomes import Result

# Fields of a wish → what is typed for them.
_OPTIONS = {
    "url": "URL",
    "types": "--type",
    "podcasts": "--podcast",
    "labels": "--label",
    "fields": "--field",
    "mode": "--schedule",
    "cron": "--schedule",
    "coalesce_s": "--coalesce",
    "is_ordered": "--ordered",
    "rate_per_s": "--rate",
}

Id = Annotated[int, typer.Argument(metavar="ID", help="of the subscription", show_default=False)]
Names = list[str] | None


class WebhookFailed(RuntimeError):
    """What was asked could not be done; the message says why, and what to do."""


def add_to(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    for command in (
        new_secret, subscribe, subscriptions, unsubscribe, rotate_secret, resume, test_event,
    ):  # fmt: skip
        app.command()(command)
    webhook_log_commands.add_to(app)
    app.command()(listen)


def new_secret() -> None:
    """Print a new secret to sign with, for an endpoint that is yet to be subscribed. It is not stored."""
    from registry.subscribing import new_secret

    print(new_secret())


def subscribe(
    url: Annotated[str, typer.Argument(metavar="URL", help="where webhooks are sent", show_default=False)],
    tenant: Annotated[str, typer.Option(help="whose podcasts")] = DEFAULT_TENANT,
    types: Annotated[
        Names, typer.Option("--type", help="such as episode.created; default: all", show_default=False)
    ] = None,
    podcasts: Annotated[
        Names,
        typer.Option("--podcast", metavar="URL|KEY|GUID", help="only of these", show_default=False),
    ] = None,
    labels: Annotated[
        Names, typer.Option("--label", help="only of podcasts so labelled", show_default=False)
    ] = None,
    fields: Annotated[
        Names,
        typer.Option("--field", help="of updates only those of these, such as title", show_default=False),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="CRON", help="batches at these times, '0 7 * * MON-FRI'", show_default=False),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="of --schedule; default: UTC", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="with --schedule: events of a request at most", show_default=False)
    ] = None,
    coalesce: Annotated[
        float, typer.Option(metavar="SECONDS", help="changes of a record within it become one event")
    ] = 0,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="one request at a time, in order; a failing one blocks")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="requests a second at most", show_default=False)
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            metavar="whsec_…",
            envvar=SECRET,
            help="to sign with, from `earshot new-secret`; default: made",
            show_default=False,
        ),
    ] = None,
    output: Output = "table",
) -> None:
    """Have an endpoint told of changes. It is asked first, and must answer (docs/webhooks.md).

    The question is signed: who verifies signatures must know the secret before.
    """
    from earshot.show import say
    from earshot.show_webhooks import show_subscribed
    from ingest.lake import utc_now_us
    from registry.subscribing import BadSubscription, wish
    from registry.subscriptions import add, listing

    settings, screen = Settings.from_env(), Console(stderr=True)
    with registry_at_hand(settings) as engine:
        try:
            wanted = wish(
                url,
                tenant=tenant,
                types=types or (),
                podcasts=_keys(engine, podcasts or []),
                labels=labels or (),
                fields=fields or (),
                mode="immediate" if schedule is None else "scheduled",
                cron=schedule,
                time_zone=time_zone,
                batch_size=batch_size,
                coalesce_s=coalesce,
                is_ordered=ordered,
                rate_per_s=rate,
                secret=secret,
                guard=_guard(settings),
            )
        except BadSubscription as error:
            _refuse(error, settings)
        teach = f"give it one of `earshot new-secret` and subscribe with --secret, or with {SECRET} set"
        _challenge(settings, wanted, "nothing was stored", teach)
        same = [each.subscription_id for each in listing(engine, tenant) if _asks_for_the_same(each, wanted)]
        added = add(engine, wanted, utc_now_us())
        notes = _untracked(engine, wanted)
    show_subscribed(added, output)
    if output == "table":
        if secret is None:
            say(screen, "note", "keep the secret: it is not shown again", "yellow")
        test = f"`earshot test-event {added.subscription_id}` sends an example now"
        say(screen, "next", f"`earshot run` or `earshot deliver` sends what changes; {test}", "bold")
    if same:
        which = (
            f"subscription {', '.join(map(str, same))} asks"
            if len(same) == 1
            else (f"subscriptions {', '.join(map(str, same))} ask")
        )
        ends = f"`earshot unsubscribe {added.subscription_id}` ends this one"
        times = "twice" if len(same) == 1 else f"{len(same) + 1} times"
        say(screen, "note", f"{which} for the same: each event will come {times}; {ends}", "yellow")
    for note in notes:
        say(screen, "note", note, "yellow")


def subscriptions(
    tenant: Annotated[str | None, typer.Option(help="only its own", show_default=False)] = None,
    with_ended: Annotated[bool, typer.Option("--all", help="also the ended ones")] = False,
    output: Output = "table",
) -> None:
    """The endpoints that are told of changes, and how they fare."""
    from earshot.show import say
    from earshot.show_webhooks import show_subscriptions
    from ingest.lake import utc_now_us
    from registry.delivery_log import summary
    from registry.subscriptions import listing

    now_us = utc_now_us()
    with registry_at_hand(Settings.from_env(), must_be=True) as engine:
        found = {each.subscription_id: each for each in listing(engine, tenant, with_ended)}
        fares = summary(engine, now_us, tenant=tenant, with_ended=with_ended)
    rows = [(found[each.subscription_id], each) for each in fares if each.subscription_id in found]
    if not rows and output == "table":
        whose = f"{tenant} has none" if tenant else "there is none"
        say(Console(stderr=True), "note", f"{whose}: `earshot subscribe URL`", "yellow")
        return
    show_subscriptions(rows, now_us, output)


def unsubscribe(subscription_id: Id, output: Output = "table") -> None:
    """Tell an endpoint no more. What waits for it is not sent; its log stays."""
    from earshot.show import print_rows
    from ingest.lake import utc_now_us
    from registry.delivery_log import summary
    from registry.subscriptions import end, get

    now_us = utc_now_us()
    with registry_at_hand(Settings.from_env(), must_be=True) as engine:
        get(engine, subscription_id)
        (before,) = summary(engine, now_us, subscription_id=subscription_id, with_ended=True)
        ended = end(engine, subscription_id, now_us)
    row = {"id": subscription_id, "url": ended.url, "state": ended.state, "not_sent": before.waiting}
    print_rows([row], list(row), output)


def rotate_secret(
    subscription_id: Id,
    secret: Annotated[
        str | None, typer.Option(metavar="whsec_…", help="the new one; default: made", show_default=False)
    ] = None,
    output: Output = "table",
) -> None:
    """Sign with a new secret; for a day the one before signs, too, so that no event goes unverified."""
    from earshot.show_webhooks import show_secret
    from ingest.lake import utc_now_us
    from registry.subscribing import BadSubscription
    from registry.subscriptions import rotate

    settings = Settings.from_env()
    with registry_at_hand(settings, must_be=True) as engine:
        _going_on(engine, subscription_id)
        try:
            rotated = rotate(engine, subscription_id, utc_now_us(), secret)
        except BadSubscription as error:
            _refuse(error, settings)
    show_secret(rotated, output)


def resume(subscription_id: Id, output: Output = "table") -> None:
    """Send to a disabled endpoint again, after asking it as when it was subscribed; or end a pause."""
    from earshot.show import print_rows, say
    from earshot.times import shown
    from ingest.lake import utc_now_us
    from registry.delivery_log import replayable
    from registry.subscriptions import resume as resuming
    from registry.tables import SubscriptionState

    settings, screen, now_us = Settings.from_env(), Console(stderr=True), utc_now_us()
    with registry_at_hand(settings, must_be=True) as engine:
        found = _going_on(engine, subscription_id)
        if found.state is SubscriptionState.ACTIVE:
            paused = f"paused until {shown(found.paused_until_us)}: that ends now"
            how = paused if found.paused_until_us > now_us else "active: nothing to do"
            say(screen, "note", f"subscription {subscription_id} is {how}", "yellow")
        else:
            teach = f"`earshot rotate-secret {subscription_id}` makes another"
            _challenge(settings, found, "it stays disabled", teach)
        resumed = resuming(engine, subscription_id, now_us)
        since_us = found.state_us if found.failing_since_us is None else found.failing_since_us
        dead = replayable(engine, subscription_id=subscription_id, failed_since_us=since_us).queued
    row = {"id": subscription_id, "url": resumed.url, "state": resumed.state, "dead_letters": dead}
    print_rows([row], list(row), output)
    if dead and output == "table":
        again = f"`earshot replay {subscription_id} --failed-since {shown(since_us)}` sends them"
        say(screen, "next", f"{dead:,} dead letters wait since it failed: {again}", "bold")


def test_event(
    subscription_id: Id,
    kind: Annotated[str, typer.Option("--type", help="of the event")] = "webhook.test",
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
) -> None:
    """Send an endpoint one signed event now, and show its answer. It does not stand in the log."""
    from earshot.endpoint_answer import explained
    from earshot.show import say
    from earshot.show_webhooks import show_result
    from serving.webhooks.challenge import test_id

    settings, message_id = Settings.from_env(), test_id()
    with registry_at_hand(settings, must_be=True) as engine:
        found = _going_on(engine, subscription_id)
    result = _send_test(settings, found, kind, message_id)
    show_result(result, message_id, output)
    if output == "table" and (advice := explained(result.outcome)):
        say(Console(stderr=True), "note", advice, "yellow")
    if not result.is_success:
        raise typer.Exit(FAILED)


def listen(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free")] = 9000,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    secret: Annotated[
        str | None,
        typer.Option(metavar="whsec_…", envvar=SECRET, help="default: a new one", show_default=False),
    ] = None,
    fail: Annotated[
        int | None,
        typer.Option(min=300, max=599, metavar="STATUS", help="answer events so", show_default=False),
    ] = None,
    times: Annotated[
        int | None, typer.Option(min=1, help="with --fail: only so often each", show_default=False)
    ] = None,
    delay: Annotated[float, typer.Option(min=0, help="seconds before an event is answered")] = 0,
    output: Annotated[Literal["table", "json"], typer.Option()] = "table",
) -> None:
    """Receive webhooks while developing: verify each, say what it was, until Ctrl-C."""
    from earshot.listen import Behaviour, Heard, Listener, serve
    from earshot.show import plain, say
    from registry.subscribing import BadSubscription, checked_secret, new_secret

    screen, console = Console(stderr=True), Console(soft_wrap=True)
    try:
        signs = new_secret() if secret is None else checked_secret(secret)
    except BadSubscription as error:
        _refuse(error, Settings.from_env())
    if times is not None and fail is None:
        raise typer.BadParameter("goes with --fail", param_hint="--times")

    def tell(heard: Heard) -> None:
        if output == "json":
            print(heard.as_json(), flush=True)
        else:
            console.print(plain(heard.as_line()), style="red" if heard.why else None)

    def started(at_port: int) -> None:
        at = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        url = f"http://{f'[{at}]' if ':' in at else at}:{at_port}/"
        say(screen, "listening", f"at {url} until Ctrl-C; in another terminal:", "green")
        print(f"  export {TEST_HOSTS}={at}  # also where `earshot deliver` runs", file=screen.file)
        line = f"{TEST_HOSTS}={at} earshot subscribe {shlex.quote(url)} --secret {signs}"
        print(f"  {line}", file=screen.file, flush=True)

    behaviour = Behaviour(Behaviour.status if fail is None else fail, times, delay)
    serve(Listener(signs, tell, behaviour), host, port, started)


def _going_on(engine: Engine, subscription_id: int) -> Subscription:
    """Raises UnknownSubscription and WebhookFailed."""
    from registry.subscriptions import get
    from registry.tables import SubscriptionState

    found = get(engine, subscription_id)
    if found.state is SubscriptionState.ENDED:
        raise WebhookFailed(f"subscription {subscription_id} has ended: `earshot subscribe` makes a new one")
    return found


def _keys(engine: Engine, podcasts: list[str]) -> list[int]:
    """Raises typer.BadParameter for what is not tracked, or means several."""
    from registry.podcasts import find

    keys = []
    for what in podcasts:
        found = find(engine, what)
        if len(found) != 1:
            several = ", ".join(str(podcast.podcast_key) for podcast in found)
            why = f"means several podcasts; name one: {several}" if found else "no such podcast is tracked"
            raise typer.BadParameter(f"{what!r}: {why}", param_hint="--podcast")
        keys.append(found[0].podcast_key)
    return keys


def _asks_for_the_same(one: Subscription, wanted: SubscriptionWish) -> bool:
    """At the same URL, in the same way: each change would be told twice."""
    names = ("url", "types", "podcasts", "fields", "mode")
    return all(getattr(one, name) == getattr(wanted, name) for name in names)


def _untracked(engine: Engine, wanted: SubscriptionWish) -> list[str]:
    """What it asks for and there is not yet: it will be told nothing of that."""
    from registry.podcasts import Filter, listing

    tenant = wanted.tenant
    if not listing(engine, Filter(tenant=tenant), limit=1):
        return [f"{tenant} tracks no podcast yet: `earshot register URL`"]
    unused = [
        label
        for label in wanted.podcasts.labels
        if not listing(engine, Filter(tenant=tenant, label=label), limit=1)
    ]
    given = "`earshot register URL --label …` gives it to one"
    return [f"no podcast that {tenant} tracks is labelled {label}: {given}" for label in unused]


def _refuse(error: BadSubscription, settings: Settings) -> NoReturn:
    """What was typed cannot be: the option is named."""
    option = _OPTIONS.get(error.field, f"--{error.field.replace('_', '-')}")
    message = str(error).removeprefix(f"{error.field}: ")
    if "public address" in message:
        message += f"; for tests of your own, {TEST_HOSTS} names hosts that may be private"
    raise typer.BadParameter(message, param_hint=option) from None


def _challenge(settings: Settings, whom: SubscriptionWish | Subscription, so: str, teach: str) -> None:
    """Ask the endpoint whether it wants webhooks. Raises WebhookFailed.

    so: what comes of it that it does not; teach: how an endpoint that knows no secret comes to know it.
    """
    from ingest.lake import utc_now_us
    from registry.subscribing import BadSubscription
    from serving.webhooks.challenge import challenge
    from serving.webhooks.deliver import send_settings
    from serving.webhooks.send import Sender

    async def ask() -> None:
        async with Sender(send_settings(settings)) as sender:
            await challenge(sender, whom.url, whom.secret, utc_now_us())

    try:
        asyncio.run(ask())
    except BadSubscription as error:
        if "the secret that signs" in str(error):
            so = f"where it does not: {teach}\n{so}"
        advice = (
            f"the endpoint must answer a POST of type webhook.challenge with 2xx and the challenge it holds "
            f"(docs/webhooks.md); {TEST_HOSTS} names hosts that may be private, for tests"
        )
        raise WebhookFailed(f"{error}\n{so}; {advice}") from None


def _send_test(settings: Settings, whom: Subscription, kind: str, message_id: str) -> Result:
    """Raises typer.BadParameter for an unknown type."""
    from ingest.lake import utc_now_us
    from serving.webhooks.catalogue import types
    from serving.webhooks.challenge import test_event
    from serving.webhooks.deliver import send_settings
    from serving.webhooks.send import Sender

    async def send() -> Result:
        async with Sender(send_settings(settings)) as sender:
            return await test_event(sender, whom, kind, utc_now_us(), message_id)

    if kind not in types():
        known = ", ".join(types())
        raise typer.BadParameter(f"{kind!r} is unknown; known are {known}", param_hint="--type")
    return asyncio.run(send())


def _guard(settings: Settings) -> Any:
    from ingest.feeds.guard import Guard
    from serving.webhooks.deliver import send_settings

    return Guard(send_settings(settings).test_hosts)
