"""docs/marts.md: the contract of the marts for who reads them, from dbt's own files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from serving.contract import Audience, Column, Contract, MartContract, project_dir, read_contract

SUBJECTS = {
    "downloads": "Downloads, and what was left out",
    "audience": "Listeners, and by what they listened",
    "pacing": "Pace of episodes",
    "attribution": "Collaborations",
    "catalog": "Podcasts and their changes",
    "quality": "Sources, rules, corrections",
}
_REF = re.compile(r"ref\(\s*['\"](\w+)['\"]\s*\)")

_HEAD = """# The marts

What analysts, dashboards and programs can rely on: each mart's grain, columns, types and meaning. Written
from the files that dbt enforces at each build (`make docs`); `manifest.json` beside each published version
says the same of that version, with its row counts.

## Reading them

- **Choose one source class** in every query. `server_log` and `prefix` see the same listening twice: never
  add the two.
- **Never add listeners up over rows.** They are distinct within their row's period alone.
- **Choose one rule.** `downloads` is the published one; `downloads_calendar`, `downloads_first_touch` and
  `downloads_last_touch` are alternatives.
- Dates begin at 00:00 `EARSHOT_TIME_ZONE` (UTC by default); columns in `_at` are UTC.
- Null is a value like any other in a grain: `show_id` is null for enclosures that no catalogue knows.

*Shared* marts are in `shared.duckdb` and in PostgreSQL, without the columns marked † (addresses that may
hold a token, and the like). What is the *team's* is in `marts.duckdb` alone: it has keys of listeners or
addresses, or names people.

A **version** is of one mart's contract. It rises when a column leaves or changes its name, type or meaning,
or when the grain changes; columns that are added do not raise it.
"""


@dataclass(frozen=True)
class Metric:
    """A metric of the semantic layer and the mart it is calculated from."""

    name: str
    mart: str
    description: str


def page(project: Path | None = None) -> str:
    """The whole document. Raises ContractError."""
    project = project or project_dir()
    contract = read_contract(project)
    readers = _readers(project)
    return (
        "\n".join([_HEAD, *_overview(contract), *_metrics(project), *_subjects(contract, readers)]).rstrip()
        + "\n"
    )


def _overview(contract: Contract) -> Iterator[str]:
    yield "## All marts\n"
    yield "| mart | one row | for | version |"
    yield "|---|---|---|--:|"
    for subject in _ordered(contract):
        for mart in _of(contract, subject):
            who = "all" if mart.audience is Audience.SHARED else "the team"
            yield f"| [`{mart.name}`](#{mart.name}) | {_cell(_grain_words(mart))} | {who} | {mart.version} |"
    yield ""


def _metrics(project: Path) -> Iterator[str]:
    yield "## Metrics\n"
    yield "Defined once in dbt's semantic layer (`dbt_project/models/semantic`), for tools with MetricFlow.\n"
    yield "| metric | from | what |"
    yield "|---|---|---|"
    for metric in read_metrics(project):
        yield f"| `{metric.name}` | `{metric.mart}` | {_cell(metric.description)} |"
    yield ""


def _subjects(contract: Contract, readers: Mapping[str, list[str]]) -> Iterator[str]:
    for subject in _ordered(contract):
        yield f"## {SUBJECTS.get(subject, subject.capitalize())}\n"
        yield f"Parquet: `{subject}/`.\n"
        for mart in _of(contract, subject):
            yield from _mart(mart, readers.get(mart.name, []))


def _mart(mart: MartContract, readers: Iterable[str]) -> Iterator[str]:
    who = "Shared" if mart.audience is Audience.SHARED else "The team's alone"
    read_by = ", ".join(readers)
    yield f"### {mart.name}\n"
    yield f"{mart.description}\n"
    yield f"Grain: {', '.join(f'`{column}`' for column in mart.grain)}. {who}. Version {mart.version}." + (
        f" Read by: {read_by}.\n" if read_by else "\n"
    )
    yield "| column | type | null | meaning |"
    yield "|---|---|---|---|"
    for column in mart.columns:
        cells = (
            f"`{column.name}`{_mark(mart, column)}",
            column.type,
            "yes" if column.is_nullable else "",
            _cell(column.description),
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def _mark(mart: MartContract, column: Column) -> str:
    is_held_back = mart.audience is Audience.SHARED and column.audience is Audience.TEAM
    return " †" if is_held_back else ""


def _ordered(contract: Contract) -> list[str]:
    found = {mart.subject for mart in contract.values()}
    return [*(s for s in SUBJECTS if s in found), *sorted(found - SUBJECTS.keys())]


def _of(contract: Contract, subject: str) -> list[MartContract]:
    return sorted((mart for mart in contract.values() if mart.subject == subject), key=lambda mart: mart.name)


def _grain_words(mart: MartContract) -> str:
    """The sentence of its description that says what a row is, without its first words."""
    sentences = re.split(r"(?<=[.:])\s+", mart.description)
    words = next((s for s in sentences if s.startswith("One row ")), sentences[0])
    words = words.removeprefix("One row ").rstrip(".:")
    return words[0].lower() + words[1:]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _readers(project: Path) -> dict[str, list[str]]:
    """By mart, who reads it (dbt's exposures)."""
    found: dict[str, list[str]] = {}
    for exposure in _loaded(project / "models" / "exposures.yml").get("exposures", ()):
        for mart in _REF.findall(" ".join(exposure["depends_on"])):
            found.setdefault(mart, []).append(exposure["label"])
    return found


def read_metrics(project: Path) -> list[Metric]:
    """Those of the semantic layer that are calculated from one mart, in its files' order."""
    found: list[Metric] = []
    for path in sorted((project / "models" / "semantic").glob("*.yml")):
        told = _loaded(path)
        mart_of = {
            measure["name"]: _REF.findall(model["model"])[0]
            for model in told.get("semantic_models", ())
            for measure in model.get("measures", ())
        }
        for metric in told.get("metrics", ()):
            given = metric["type_params"]
            known = {each.name: each.mart for each in found}
            mart = mart_of[given["measure"]] if "measure" in given else known[given["numerator"]]
            found.append(Metric(metric["name"], mart, metric["description"]))
    return found


def _loaded(path: Path) -> dict[str, Any]:
    told = yaml.safe_load(path.read_text("utf-8")) if path.exists() else None
    return told if isinstance(told, dict) else {}
