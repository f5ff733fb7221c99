"""`earshot key`: who may call the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from earshot.commands import Output
from earshot.registry_at_hand import registry_at_hand
from ingest.settings import Settings
from registry.registration import DEFAULT_TENANT

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from registry.api_keys import ApiKey

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keys of the API (docs/api.md).")

_COLUMNS = ("id", "tenant", "name", "scopes", "state", "created", "expires", "last_used")


@app.command()
def new(
    tenant: Annotated[str, typer.Option(help="whose shows and podcasts")] = DEFAULT_TENANT,
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, manage, hints or operate; default: read", show_default=False),
    ] = None,
    name: Annotated[str, typer.Option(help="what it is used for, for people")] = "",
    expires: Annotated[
        str | None, typer.Option(help="a date or time, UTC; default: never", show_default=False)
    ] = None,
    output: Output = "table",
) -> None:
    """Make a key and print it. This is its only showing: a hash of it is stored."""
    from earshot.show import print_rows, say
    from earshot.times import instant_us
    from ingest.lake import utc_now_us
    from registry.api_keys import BadKey, Scope, create
    from registry.registration import BadRegistration, checked_name

    now_us = utc_now_us()
    try:
        wanted = [Scope(scope) for scope in scopes or [Scope.READ]]
    except ValueError:
        raise typer.BadParameter(f"a scope is one of {', '.join(Scope)}", param_hint="--scope") from None
    ends_us = instant_us(expires, "--expires", now_us, is_end=True) if expires else None
    try:
        owner = checked_name("tenant", tenant)
        with registry_at_hand(Settings.from_env()) as engine:
            key, made = create(engine, now_us, owner, wanted, name, ends_us)
    except BadRegistration as error:
        raise typer.BadParameter(str(error), param_hint="--tenant") from None
    except BadKey as error:
        raise typer.BadParameter(str(error)) from None
    if output == "table":
        print(key)
        screen = Console(stderr=True)
        say(screen, "made", f"key {made.key_id} of {made.tenant}: {', '.join(sorted(made.scopes))}", "green")
    else:
        print_rows([_row(made, now_us) | {"key": key}], [*_COLUMNS, "key"], output)


@app.command("list")
def listing(
    tenant: Annotated[str | None, typer.Option(help="only this one's", show_default=False)] = None,
    output: Output = "table",
) -> None:
    """All keys: whose, for what, until when, last used on which day. Never the key itself."""
    from earshot.show import print_rows
    from ingest.lake import utc_now_us
    from registry.api_keys import keys

    now_us = utc_now_us()
    with registry_at_hand(Settings.from_env()) as engine:
        rows = [_row(key, now_us) for key in keys(engine, tenant)]
    print_rows(rows, list(_COLUMNS), output)


@app.command()
def revoke(key_id: Annotated[int, typer.Argument(metavar="ID", show_default=False)]) -> None:
    """Refuse a key from now on; servers learn of it within a second."""
    from earshot.show import say
    from ingest.lake import utc_now_us
    from registry.api_keys import BadKey
    from registry.api_keys import revoke as revoking

    try:
        with registry_at_hand(Settings.from_env()) as engine:
            key = revoking(engine, utc_now_us(), key_id)
    except BadKey as error:
        raise typer.BadParameter(str(error)) from None
    say(Console(stderr=True), "revoked", f"key {key.key_id} of {key.tenant}", "green")


def _row(key: ApiKey, now_us: int) -> dict[str, Any]:
    from earshot.times import shown

    state = "valid" if key.is_valid(now_us) else "expired" if key.revoked_us is None else "revoked"
    used = shown(key.used_us)
    return {
        "id": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": ",".join(sorted(key.scopes)),
        "state": state,
        "created": shown(key.created_us),
        "expires": shown(key.expires_us),
        "last_used": used[:10] if used else None,
    }
