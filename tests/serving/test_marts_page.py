"""docs/marts.md: what dbt enforces, written down, and never out of date."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.contract import project_dir, read_contract
from serving.marts_page import page, read_metrics

DOCS = Path(__file__).parents[2] / "docs" / "marts.md"


def test_the_page_in_docs_is_what_dbts_files_say() -> None:
    assert DOCS.read_text("utf-8") == page(), "docs/marts.md is out of date: run `make docs`"


def test_every_column_of_every_mart_is_there_with_its_meaning() -> None:
    parts = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page(), re.MULTILINE | re.DOTALL))
    assert parts.keys() == read_contract().keys()
    for name, mart in read_contract().items():
        rows = re.findall(r"^\| `(\w+)`( †)? \| (\S+) \| (yes|) \| (.+) \|$", parts[name], re.MULTILINE)
        assert [(column, kind) for column, _, kind, _, _ in rows] == [(c.name, c.type) for c in mart.columns]
        assert f"Version {mart.version}." in parts[name]
        for column in mart.grain:
            assert f"`{column}`" in parts[name].split("Grain: ")[1].splitlines()[0]


def test_it_says_who_reads_a_mart_and_what_is_held_back() -> None:
    told = page()
    assert "Read by: Reporting API, Pages, Dashboard in Superset" in told.split("### fct_show_daily")[1]
    podcasts = told.split("### dim_podcasts\n")[1].split("###")[0]
    assert "| `feed_url` † |" in podcasts
    assert "| `title` |" in podcasts


def test_the_core_metrics_are_there_with_their_mart() -> None:
    marts = {metric.name: metric.mart for metric in read_metrics(project_dir())}
    assert marts.items() >= {
        ("downloads", "fct_show_daily"),
        ("listeners", "fct_show_listeners"),
        ("new_listeners", "fct_show_listeners"),
        ("lift", "fct_collaboration_lift"),
    }


def test_a_changed_column_changes_the_page(tmp_path: Path) -> None:
    project = tmp_path / "dbt_project"
    shutil.copytree(project_dir(), project, ignore=shutil.ignore_patterns("target", "logs"))
    shows = project / "models" / "marts" / "downloads" / "dim_shows.yml"
    text = shows.read_text("utf-8")
    shows.write_text(text.replace("\"{{ doc('show_title') }}\"", '"Either | or,\n          or both."', 1))
    assert "| `show_title` | varchar | yes | Either \\| or, or both. |" in page(project)


@pytest.mark.parametrize("given", ["screen", "file"])
def test_the_command_writes_it(tmp_path: Path, given: str) -> None:
    out = tmp_path / "marts.md"
    arguments = ["--output", str(out)] if given == "file" else []
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", "marts", "document", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (out.read_text("utf-8") if given == "file" else done.stdout) == page()
