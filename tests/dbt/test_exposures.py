"""Who reads the marts: the exposures name the marts that their consumer's code names, no more, no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import earshot
from serving.contract import project_dir, read_contract

ROOT = Path(earshot.__file__).parent.parent
_MART = re.compile(r"\b(?:fct|dim|rpt)_[a-z_]+")
_CODE = (".py", ".j2", ".sql", ".yaml")
_REF = re.compile(r"ref\('(\w+)'\)")


def exposures() -> dict[str, dict[str, Any]]:
    told = yaml.safe_load((project_dir() / "models" / "exposures.yml").read_text("utf-8"))
    return {exposure["name"]: exposure for exposure in told["exposures"]}


def named_in(path: Path) -> set[str]:
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.suffix in _CODE]
    return {
        mart for file in files for mart in _MART.findall(file.read_text("utf-8"))
    } & read_contract().keys()


@pytest.mark.parametrize("name", exposures())
def test_an_exposure_names_the_marts_that_its_code_names(name: str) -> None:
    exposure = exposures()[name]
    code = [ROOT / path for path in exposure["config"]["meta"]["code"]]
    there = [path for path in code if path.exists()]
    told = {mart for every in exposure["depends_on"] for mart in _REF.findall(every)}
    named = set().union(*map(named_in, there)) if there else set()
    assert named <= told, f"add them to exposure {name}"
    if there and len(there) == len(code):
        assert told <= named, f"{name} does not read them any more: take them out of the exposure"


def test_every_consumer_is_there() -> None:
    assert exposures().keys() >= {
        "reporting_api",
        "metadata_api",
        "pages",
        "superset_dashboard",
        "change_webhooks",
        "attribution_commands",
        "report_command",
    }


def test_what_others_open_reads_what_others_may_have() -> None:
    contract = read_contract()
    told = {mart for every in exposures()["superset_dashboard"]["depends_on"] for mart in _REF.findall(every)}
    assert told and all(contract[mart].shared_columns for mart in told)
