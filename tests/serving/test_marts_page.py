"""docs/marts.md: what dbt enforces, written down, and never out of date."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.contract import project_dir, read_contract
from serving.marts_page import page, read_metrics
from serving.marts_promises import broken_promises

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


def test_a_changed_column_changes_the_page(project: Path) -> None:
    shows = project / "models" / "marts" / "downloads" / "dim_shows.yml"
    text = shows.read_text("utf-8")
    shows.write_text(text.replace("\"{{ doc('show_title') }}\"", '"Either | or,\n          or both."', 1))
    assert "| `show_title` | varchar | yes | Either \\| or, or both. |" in page(project)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the dbt project."""
    copy = tmp_path / "dbt_project"
    shutil.copytree(project_dir(), copy, ignore=shutil.ignore_patterns("target", "logs"))
    return copy


LISTENERS = """      - name: listeners
        data_type: bigint
        description: "{{ doc('listeners') }}"
        constraints:
          - type: not_null
"""


@pytest.mark.parametrize(
    ("instead", "loss"),
    [
        ((LISTENERS, ""), "fct_show_daily has no listeners any more"),
        ((LISTENERS, LISTENERS.replace("bigint", "double")), "fct_show_daily.listeners was bigint"),
        ((LISTENERS, "\n".join(LISTENERS.splitlines()[:3]) + "\n"), "fct_show_daily.listeners had no nulls"),
        (
            ("[date, source_class, show_id]", "[date, show_id]"),
            "the grain of fct_show_daily was date, source_",
        ),
        (("audience: shared", "audience: team"), "fct_show_daily.date was shared"),
        (("version: 1\n", "version: 0\n"), "the version of fct_show_daily fell from 1 to 0"),
    ],
)
def test_a_broken_promise_needs_a_higher_version(project: Path, instead: tuple[str, str], loss: str) -> None:
    daily = project / "models" / "marts" / "downloads" / "fct_show_daily.yml"
    text = daily.read_text("utf-8")
    assert instead[0] in text
    before = page()
    daily.write_text(text.replace(*instead))
    assert loss in "; ".join(broken_promises(before, read_contract(project)))


def test_with_a_higher_version_or_a_column_more_no_promise_is_broken(project: Path, tmp_path: Path) -> None:
    daily = project / "models" / "marts" / "downloads" / "fct_show_daily.yml"
    text = daily.read_text("utf-8")
    daily.write_text(text.replace(LISTENERS, "").replace("version: 1\n", "version: 2\n"))
    assert broken_promises(page(), read_contract(project)) == []
    more = tmp_path / "more"
    shutil.copytree(project, more)
    (more / daily.relative_to(project)).write_text(
        text.replace(LISTENERS, LISTENERS + LISTENERS.replace("name: listeners", "name: ears"))
    )
    assert broken_promises(page(), read_contract(more)) == []
    assert broken_promises("", read_contract(project)) == []


def test_a_mart_that_is_gone_is_told(project: Path) -> None:
    (project / "models" / "marts" / "quality" / "dim_rules.yml").unlink()
    (told,) = broken_promises(page(), read_contract(project))
    assert told.startswith("dim_rules is gone")


def test_the_command_leaves_a_page_that_promised_more(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "marts.md"
    out.write_text(page(), "utf-8")
    daily = project / "models" / "marts" / "downloads" / "fct_show_daily.yml"
    daily.write_text(daily.read_text("utf-8").replace(LISTENERS, ""))
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", "marts", "document", "--output", str(out)],
        env={**os.environ, "EARSHOT_DBT_PROJECT": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no listeners any more" in " ".join(done.stderr.split())
    assert out.read_text("utf-8") == page()


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
