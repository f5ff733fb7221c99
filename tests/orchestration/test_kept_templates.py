"""What Jinja made for dbt is taken again, and only from a file that is whole and our own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TWICE = """
import sys
from pathlib import Path
from dbt_common.clients import jinja
made = []
compiles = jinja.MacroFuzzEnvironment._compile
def counted(self, source, name):
    made.append(source)
    return compiles(self, source, name)
jinja.MacroFuzzEnvironment._compile = counted
from orchestration.kept_templates import keep_templates
save = keep_templates(Path(sys.argv[1]))
said = [
    jinja.get_template("{{ 1 + n }} and {{ 'text' }}", {}).render({"n": 2}),
    jinja.get_template("{{ 1 + n }}", {}, native=True).render({"n": 2}),
    jinja.get_template("{{ 1 + n }}", {}).render({"n": 3}),
]
save()
print(said, len(made))
"""
MADE = "['3 and text', 3, '4'] 3"
TAKEN = "['3 and text', 3, '4'] 0"


def _said(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", TWICE, str(folder)], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    assert _said(tmp_path) == MADE
    (file,) = tmp_path.iterdir()
    return file


def test_templates_are_made_once(kept: Path) -> None:
    assert _said(kept.parent) == TAKEN


def test_templates_that_others_could_have_written_are_made_anew(kept: Path) -> None:
    kept.chmod(0o666)
    assert _said(kept.parent) == MADE


def test_damaged_templates_are_made_anew_and_kept(kept: Path) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert _said(kept.parent) == MADE
    assert _said(kept.parent) == TAKEN


def test_where_nothing_can_be_kept_templates_are_made_each_time(tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    assert _said(no_folder) == MADE
    assert _said(no_folder) == MADE
