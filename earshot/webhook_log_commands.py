"""The commands of the log of webhooks: deliveries, replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from earshot.commands import Output
from earshot.exit_codes import FAILED
from earshot.registry_at_hand import registry_at_hand
from ingest.settings import Settings

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from sqlalchemy import Engine

    from earshot.endpoint_answer import Facts
    from registry.delivery_log import LoggedDelivery

_SHOWN = 50  # a terminal's worth
_ENDED = "has ended and is sent nothing any more"
_ANSWERED_FOR = "7d"  # by default

OneId = Annotated[int | None, typer.Argument(metavar="[ID]", help="of a subscription", show_default=False)]
Messages = Annotated[
    list[str] | None, typer.Option("--id", metavar="MESSAGE", help="webhook-id", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Make them commands of `app`."""
    app.command()(deliveries)
    app.command()(replay)


def deliveries(
    subscription_id: OneId = None,
    message: Annotated[
        str | None,
        typer.Option("--id", metavar="MESSAGE", help="its attempts, by webhook-id", show_default=False),
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="pending, sending, sent, dead or void", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="2026-11-29, 6h, 2d …", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="the same; a date is meant whole", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="in a table 50, else all", show_default=False)
    ] = None,
    output: Output = "table",
) -> None:
    """What endpoints were sent and how that went; of one endpoint also why it got what it got, or nothing."""
    from earshot.endpoint_answer import answer
    from earshot.show import say
    from earshot.show_webhooks import endpoint, logged, show_answer, show_deliveries
    from earshot.times import instant_us
    from ingest.lake import utc_now_us
    from registry.delivery_log import deliveries as logged_deliveries

    settings, screen, now_us = Settings.from_env(), Console(stderr=True), utc_now_us()
    states = [_state(name) for name in state or []]
    since_us = None if since is None else instant_us(since, "--since", now_us)
    until_us = None if until is None else instant_us(until, "--until", now_us, is_end=True)
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise typer.BadParameter("lies after --until", param_hint="--since")
    if limit is None and output == "table":
        limit = _SHOWN
    with registry_at_hand(settings, must_be=True) as engine:
        if message is not None:
            _show_message(engine, message, subscription_id, output)
            return
        facts = None
        if subscription_id is not None:
            from_us = instant_us(_ANSWERED_FOR, "--since", now_us) if since_us is None else since_us
            facts = _facts(engine, settings, subscription_id, from_us, now_us)
        found = logged_deliveries(
            engine,
            subscription_id=subscription_id,
            states=states,
            since_us=since_us,
            until_us=until_us,
            limit=limit,
        )
    sentences = [] if facts is None else answer(facts)
    if output == "json":
        rows = [logged(each) for each in found]
        at = {} if facts is None else {"endpoint": endpoint(facts)}
        said = {"answer": sentences} | at | {"deliveries": rows}
        print(json.dumps(said, indent=2, ensure_ascii=False))
        return
    if output == "table" and sentences:
        show_answer(sentences)
    if found or output == "csv":
        show_deliveries(found, output)
    else:
        say(screen, "note", "no delivery is like that", "yellow")
    if output == "table" and len(found) == limit:
        say(screen, "note", "there may be more: --limit, --since, or --output csv", "yellow")


def replay(
    subscription_id: OneId = None,
    messages: Messages = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="made since", show_default=False)
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="made before; a date is meant whole", show_default=False),
    ] = None,
    failed_since: Annotated[
        str | None, typer.Option(metavar="TIME", help="all given up since then", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count them; change nothing")] = False,
    output: Output = "table",
) -> None:
    """Send messages once more, each with its first webhook-id: by id, of a time, or all that failed."""
    from earshot.show import print_rows, say
    from earshot.times import instant_us
    from ingest.lake import utc_now_us
    from registry.delivery_log import deliveries as logged_deliveries
    from registry.delivery_log import replay as replaying
    from registry.delivery_log import replayable
    from registry.subscriptions import UnknownSubscription

    screen, now_us = Console(stderr=True), utc_now_us()
    if sum((bool(messages), bool(first or last), failed_since is not None)) != 1:
        raise typer.BadParameter(
            "name either messages, or a subscription and a time, or since when they failed",
            param_hint="--id, ID --from --to, or --failed-since",
        )
    if (first or last) and (subscription_id is None or first is None):
        raise typer.BadParameter("goes with the ID of a subscription and --from", param_hint="--from")
    which: dict[str, Any] = {
        "message_ids": tuple(messages or ()),
        "subscription_id": subscription_id,
        "from_us": None if first is None else instant_us(first, "--from", now_us),
        "to_us": None if last is None else instant_us(last, "--to", now_us, is_end=True),
        "failed_since_us": (
            None if failed_since is None else instant_us(failed_since, "--failed-since", now_us)
        ),
    }
    if None not in (which["from_us"], which["to_us"]) and which["from_us"] >= which["to_us"]:
        raise typer.BadParameter("lies after --to", param_hint="--from")
    with registry_at_hand(Settings.from_env(), must_be=True) as engine:
        if subscription_id is not None and _has_ended(engine, subscription_id):
            raise UnknownSubscription(f"subscription {subscription_id} {_ENDED}: nothing was replayed")
        found = replayable(engine, **which)
        queued = found.queued if dry_run else replaying(engine, **which, now_us=now_us)
        left = {at: _has_ended(engine, at) for at in sorted(found.inactive)}
        unknown = [each for each in messages or () if not logged_deliveries(engine, message_id=each, limit=1)]
    row = {
        "would_send" if dry_run else "queued": queued,
        "waiting_anyway": found.waiting,
        "nothing_to_tell": found.void,
        "endpoint_not_active": sum(found.inactive.values()),
    }
    print_rows([row], list(row), output)
    for at, has_ended in left.items():
        why = _ENDED if has_ended else f"is disabled: `earshot resume {at}` first"
        say(screen, "left alone", f"{found.inactive[at]:,} of subscription {at}, which {why}", "yellow")
    for each in unknown:
        say(screen, "unknown", f"no message has the id {each!r}", "red")
    if unknown or (messages and found.inactive and not queued):
        raise typer.Exit(FAILED)
    if not (queued or found.waiting or found.void or found.inactive):
        say(screen, "note", "no message is like that", "yellow")
        raise typer.Exit(FAILED if messages else 0)
    if queued and not dry_run and output == "table":
        say(screen, "next", "`earshot run` or `earshot deliver` sends them", "bold")


def _has_ended(engine: Engine, subscription_id: int) -> bool:
    """Raises UnknownSubscription."""
    from registry.subscriptions import get
    from registry.tables import SubscriptionState

    return get(engine, subscription_id).state is SubscriptionState.ENDED


def _state(name: str) -> Any:
    from registry.tables import DeliveryState

    try:
        return DeliveryState(name)
    except ValueError:
        known = ", ".join(DeliveryState)
        raise typer.BadParameter(f"{name!r} is not one of {known}", param_hint="--state") from None


def _facts(engine: Engine, settings: Settings, subscription_id: int, since_us: int, now_us: int) -> Facts:
    from earshot.endpoint_answer import Facts
    from registry.delivery_log import made, outcomes, senders, summary
    from registry.matched import matched
    from registry.sending_now import head_of, last_request_us
    from registry.subscriptions import get

    found = get(engine, subscription_id)
    (fares,) = summary(engine, now_us, subscription_id=subscription_id, with_ended=True)
    messages, changes = made(engine, subscription_id, since_us)
    at_work = senders(engine, now_us)
    return Facts(
        subscription=found,
        fares=fares,
        since_us=since_us,
        now_us=now_us,
        messages=messages,
        changes=changes,
        outcomes=tuple(outcomes(engine, subscription_id, since_us)),
        matched=matched(engine, settings.lake_dir, found, max(since_us, found.created_us)),
        head=head_of(engine, subscription_id) if found.is_ordered else None,
        sender=at_work.get(found.shard),
        senders=len(set(at_work.values())),
        requested_us=last_request_us(engine),
    )


def _show_message(engine: Engine, message: str, subscription_id: int | None, output: str) -> None:
    """Its deliveries with all their attempts."""
    from earshot.endpoint_answer import explained
    from earshot.show import say
    from earshot.show_webhooks import attempted, logged, show_attempts, show_deliveries
    from registry.delivery_log import attempts_of
    from registry.delivery_log import deliveries as logged_deliveries

    found = logged_deliveries(engine, message_id=message, subscription_id=subscription_id, limit=None)
    attempts = attempts_of(engine, [each.delivery_id for each in found])
    if not found:
        say(Console(stderr=True), "unknown", f"no message {message!r} is in the log", "red")
        raise typer.Exit(FAILED)

    def of(each: LoggedDelivery) -> list[dict[str, Any]]:
        return [attempted(one, each.subscription_id) for one in attempts.get(each.delivery_id, [])]

    if output == "json":
        rows = [logged(each) | {"log": of(each)} for each in found]
        print(json.dumps({"answer": [], "deliveries": rows}, indent=2, ensure_ascii=False))
        return
    if output == "table":
        show_deliveries(found, output)
    tried = [row for each in found for row in of(each)]
    if tried or output == "csv":
        show_attempts(tried, output)
        if output == "table":
            for advice in {explained(row["outcome"]) for row in tried} - {None}:
                say(Console(stderr=True), "note", str(advice), "yellow")
    else:
        say(Console(stderr=True), "note", "no attempt was made yet", "yellow")
