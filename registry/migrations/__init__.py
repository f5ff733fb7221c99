"""The history of the registry's tables (Alembic), run from wherever the package is installed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

_FOLDER = Path(__file__).parent
# A revision is the number its file begins with: known without importing Alembic, which most starts need not.
HEAD = max(path.name.split("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


class TooNew(RuntimeError):
    """The registry was migrated by a later Earshot than this one."""


def is_current(connection: Connection) -> bool:
    """Whether the tables are those this code knows. Raises TooNew."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    revision = connection.execute(text("select version_num from alembic_version")).scalar()
    if revision is not None and revision > HEAD:
        raise TooNew(
            f"a newer Earshot made it (revision {revision}, this one knows {HEAD}): upgrade this one"
        )
    return revision == HEAD


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up to date, inside the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
