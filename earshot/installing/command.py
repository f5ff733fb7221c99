"""The commands `earshot init` and `earshot migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from earshot.as_owner import refuse_root
from ingest.settings import PREFIX, Settings

# Tables that hold what nobody could find out again.
_TOLD_BY_PEOPLE = {"podcasts", "api_keys", "collaborations", "subscriptions", "show_owners"}


class InitRefused(RuntimeError):
    """Nothing was made; the message says why and what to do."""


def init(
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres",
            help="postgresql://user@host/database for the registry and Dagster; its password rather in"
            " PGPASSWORD or ~/.pgpass: what stands in a command others can see",
            show_default=False,
        ),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(help="where the settings go, mode 0600; <data>/earshot.env", show_default=False),
    ] = None,
    keep_registry: Annotated[
        bool, typer.Option("--keep-registry", help="leave the registry where it is: only Dagster moves")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="also from another installation, which is gone for good"),
    ] = False,
) -> None:
    """Prepare an installation: registry, Dagster's home, one file of settings. Again does no harm."""
    from earshot.installing import env_file as env_files
    from earshot.installing import server
    from registry.database import connected, described
    from registry.owned import claim

    screen = Console(stderr=True)
    settings = Settings.from_env()
    data = settings.data.resolve()
    refuse_root(data, "init")
    values = {f"{PREFIX}DATA": str(data)}
    with_registry = postgres is not None and not keep_registry
    if postgres is not None:  # an empty one, of a variable that is not set, is told
        url = server.complete_url(postgres)
        if with_registry:
            _refuse_second_registry(settings)
        screen.print(f"server      {server.check(url, with_registry)}", highlight=False, soft_wrap=True)
        values[f"{PREFIX}DAGSTER_DB"] = url
        if with_registry:
            values[f"{PREFIX}REGISTRY"] = url
        settings = Settings.from_env(dagster_db=url, registry=url if with_registry else None)
    if not take_over:
        _refuse_of_another(settings)
    path = (env_file or data / env_files.NAME).absolute()
    _make_data_folder(data)
    with connected(settings.registry, settings.data):
        claim(settings.registry, settings.data, take_over)
        screen.print(f"registry    {described(settings.registry, settings.data)}", soft_wrap=True)
    screen.print(f"Dagster     {_prepare_dagster(settings, take_over)}", soft_wrap=True)
    changed = env_files.write(path, values)
    screen.print(f"settings    {path}{'' if changed else ', as they were'}", highlight=False, soft_wrap=True)
    screen.print(f"next        set -a; . {path}; set +a; earshot doctor; earshot run", soft_wrap=True)


def migrate() -> None:
    """Bring lake, registry and Dagster's records to this version; `earshot rebuild` then does the marts."""
    from ingest.lake import Lake
    from registry.database import connected, described
    from registry.owned import claim
    from serving.publish import DATABASE_NAME
    from serving.told import keep_told

    screen = Console(stderr=True)
    settings = Settings.from_env()
    _refuse_of_another(settings)
    if settings.lake_dir.exists():
        lake = Lake(settings.lake_dir)  # makes the tables that later versions added, or says why it cannot
        keep_told(settings.published_dir / "current" / DATABASE_NAME, lake)
        screen.print(f"lake        {settings.lake_dir}: current", highlight=False, soft_wrap=True)
    with connected(settings.registry, settings.data):
        claim(settings.registry, settings.data)
        screen.print(f"registry    {described(settings.registry, settings.data)}: current", soft_wrap=True)
    screen.print(f"Dagster     {_prepare_dagster(settings)}: current", soft_wrap=True)
    if settings.warehouse.exists():
        screen.print(
            "next        earshot rebuild, unless the marts are this version's already", soft_wrap=True
        )


def _refuse_of_another(settings: Settings) -> None:
    """Before anything is made. Raises AnotherInstallation, SettingError."""
    from ingest.installation import known
    from orchestration import postgres
    from registry import owned

    owned.refuse_another(settings.registry, settings.data)
    if settings.dagster_db:
        postgres.refuse_another(settings.dagster_db, known(settings.data))


def _prepare_dagster(settings: Settings, take_over: bool = False) -> str:
    """Make or migrate Dagster's records; where they are."""
    from ingest.installation import identity
    from orchestration.instance import prepare_home
    from orchestration.postgres import prepare_database, shown, storage_url

    folder = prepare_home(settings)
    if settings.dagster_db:
        prepare_database(settings.dagster_db, identity(settings.data), take_over)
        return f"{shown(storage_url(settings.dagster_db))}, schema dagster"
    import dagster as dg

    with dg.DagsterInstance.from_config(str(folder)):
        return f"SQLite in {folder}"


def _make_data_folder(data: Path) -> None:
    if not data.exists():
        data.mkdir(parents=True, mode=0o750)  # analysts of its group may read what is published


def _refuse_second_registry(settings: Settings) -> None:
    """A registry that is in use must not seem empty from one day to the next. Raises InitRefused."""
    import sqlalchemy as db

    from registry.database import FILE_NAME, unmigrated

    file = settings.data / FILE_NAME
    if settings.registry or not file.exists():
        return
    with unmigrated(None, settings.data) as engine, engine.connect() as connection:
        names = set(db.inspect(connection).get_table_names()) - {"alembic_version"}
        full = [
            name
            for name in sorted(names & _TOLD_BY_PEOPLE)
            if connection.execute(db.text(f"select 1 from {name} limit 1")).first()
        ]
    if full:
        raise InitRefused(
            f"{file} is a registry in use ({', '.join(full)}), which is not copied to PostgreSQL:"
            f" --keep-registry leaves it where it is and moves only Dagster; or name another EARSHOT_DATA"
        )
