"""What each mart promises its readers: subject, grain, columns, who may have it. Read from dbt's files.

A mart's YAML lies beside its model (dbt_project/models/marts/<subject>/<mart>.yml) and is all there is to
read: dbt enforces it at each build, the publisher sorts by it, `earshot marts document` writes it down.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

_BESIDE_US = Path(__file__).resolve().parent.parent / "dbt_project"
_DOC = re.compile(r"\{%-?\s*docs\s+(\w+)\s*-?%\}(.*?)\{%-?\s*enddocs\s*-?%\}", re.DOTALL)
_CALL = re.compile(r"\{\{\s*doc\(\s*['\"](\w+)['\"]\s*\)\s*\}\}")
_GRAIN_TEST = "unique_grain"


class ContractError(ValueError):
    """The files of dbt's marts cannot be read as a contract; the message names file and reason."""


class Audience(StrEnum):
    """Who may have a mart or a column."""

    SHARED = "shared"  # whoever opens shared.duckdb or the schema `marts` of PostgreSQL
    TEAM = "team"  # the data team alone: keys of listeners and addresses, mail addresses, secret URLs


@dataclass(frozen=True)
class Column:
    """One column of a mart; `type` as DuckDB names it, in lower case."""

    name: str
    type: str
    description: str
    is_nullable: bool
    audience: Audience


@dataclass(frozen=True)
class MartContract:
    """One mart. `grain`: the columns that identify a row, null being a value like any other."""

    name: str
    subject: str
    description: str
    audience: Audience
    version: int  # higher whenever a column leaves or changes its name, type or meaning
    grain: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def shared_columns(self) -> tuple[Column, ...]:
        """What others than the team may have of it."""
        if self.audience is not Audience.SHARED:
            return ()
        return tuple(column for column in self.columns if column.audience is Audience.SHARED)


Contract = Mapping[str, MartContract]  # by mart


def project_dir() -> Path:
    """The dbt project: EARSHOT_DBT_PROJECT, else the one beside this package."""
    given = os.environ.get("EARSHOT_DBT_PROJECT")
    return Path(given).resolve() if given else _BESIDE_US


def read_contract(project: Path | None = None) -> Contract:
    """The contracts of all marts, by subject and name. Raises ContractError."""
    return _read(project or project_dir())


@functools.cache
def _read(project: Path) -> Contract:
    folder = project / "models" / "marts"
    docs = _docs(project / "docs")
    found: dict[str, MartContract] = {}
    for path in sorted(folder.glob("*/*.yml")):
        try:
            told = yaml.load(path.read_text("utf-8"), Loader=_Loader) or {}
            for model in told.get("models", ()):
                found[model["name"]] = _mart(model, path.parent.name, docs)
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ContractError(f"{path.relative_to(project)} is no contract of a mart: {error!r}") from error
    if not found:
        raise ContractError(f"no contract of a mart lies in {folder}: is EARSHOT_DBT_PROJECT right?")
    return found


def _mart(model: dict[str, Any], subject: str, docs: Mapping[str, str]) -> MartContract:
    meta = model["config"]["meta"]
    tests = [test[_GRAIN_TEST] for test in model["data_tests"] if _GRAIN_TEST in test]
    (grain,) = [tuple(test["arguments"]["columns"]) for test in tests]
    columns = tuple(_column(column, docs) for column in model["columns"])
    if unknown := set(grain) - {column.name for column in columns}:
        raise ValueError(f"the grain names {', '.join(sorted(unknown))}, which is no column")
    return MartContract(
        name=model["name"],
        subject=subject,
        description=_described(model["description"], docs),
        audience=Audience(meta["audience"]),
        version=int(meta["version"]),
        grain=grain,
        columns=columns,
    )


def _column(column: dict[str, Any], docs: Mapping[str, str]) -> Column:
    meta = column.get("config", {}).get("meta", {})
    return Column(
        name=column["name"],
        type=column["data_type"],
        description=_described(column["description"], docs),
        is_nullable={"type": "not_null"} not in column.get("constraints", ()),
        audience=Audience(meta.get("audience", Audience.SHARED)),
    )


def _docs(folder: Path) -> dict[str, str]:
    """dbt's doc blocks by name."""
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("*.md"))]
    return {name: text.strip() for every in texts for name, text in _DOC.findall(every)}


def _described(text: str, docs: Mapping[str, str]) -> str:
    return _CALL.sub(lambda call: docs[call[1]], text).strip()


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twelve times faster where libyaml is there
