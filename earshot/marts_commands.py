"""`earshot marts`: the contract of the marts as a page, and the published version into PostgreSQL now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ingest.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The marts: their contract, PostgreSQL.")


@app.command()
def document(
    output: Annotated[Path | None, typer.Option(help="a file, else the screen", show_default=False)] = None,
) -> None:
    """Print what each mart promises: grain, columns, types, meaning, version, who reads it.

    A file that promised more under the same version is left as it is.
    """
    from serving.contract import ContractError, read_contract
    from serving.marts_page import page
    from serving.marts_promises import broken_promises

    text = page()
    if output is None:
        print(text, end="")
        return
    former = output.read_text("utf-8") if output.exists() else ""
    if broken := broken_promises(former, read_contract()):
        raise ContractError(f"{output} promised more: {'; '.join(broken)}")
    output.write_text(text, "utf-8")


@app.command()
def load() -> None:
    """Load the published version into the PostgreSQL of EARSHOT_MARTS_DB now, as each publication does."""
    from earshot.published import current
    from serving.manifest import mart_of, read_manifest
    from serving.postgres import MartsDatabaseError, marts_database
    from serving.postgres import load as loading
    from serving.publish import SHARED_NAME
    from serving.versions import TO_PUBLISH

    settings = Settings.from_env()
    database = marts_database(settings)
    if database is None:
        raise MartsDatabaseError("set EARSHOT_MARTS_DB to postgresql://user:password@host/database first")
    published = current(settings)
    folder = published.database.parent
    manifest = read_manifest(folder)
    if manifest is None or not (folder / SHARED_NAME).is_file():
        raise MartsDatabaseError(
            f"the marts of version {published.version} are an earlier Earshot's: {TO_PUBLISH}"
        )
    marts = [mart_of(table).for_others() for table in manifest["tables"] if table["audience"] == "shared"]
    done = loading(database, folder / SHARED_NAME, manifest, marts)
    Console(stderr=True).print(f"version {published.version}: {done.told}")
