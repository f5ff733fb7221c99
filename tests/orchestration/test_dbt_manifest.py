"""The manifest: made when missing or out of date, and only then."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.settings import Settings
from orchestration.dbt_manifest import ManifestError, ensure_manifest, fingerprint


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: tiny\nversion: '1.0.0'\nprofile: tiny\n")
    (folder / "profiles.yml").write_text(
        "tiny: {target: local, outputs: {local: {type: duckdb,"
        " path: \"{{ env_var('EARSHOT_WAREHOUSE') }}\"}}}\n"
    )
    (folder / "models" / "one.sql").write_text("select 1 as one\n")
    monkeypatch.setenv("EARSHOT_DBT_PROJECT", str(folder))
    return folder


def models(manifest: Path) -> list[str]:
    return sorted(node["name"] for node in json.loads(manifest.read_text())["nodes"].values())


def test_it_is_made_once_and_again_when_a_model_changes(project: Path, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    manifest = ensure_manifest(settings)
    assert models(manifest) == ["one"]
    assert not settings.warehouse.exists()

    made = manifest.stat().st_mtime_ns
    started = time.perf_counter()
    ensure_manifest(settings)
    assert time.perf_counter() - started < 0.2
    assert manifest.stat().st_mtime_ns == made

    (project / "models" / "two.sql").write_text("select 2 as two\n")
    assert models(ensure_manifest(settings)) == ["one", "two"]

    (project / "models" / "two.sql").write_text("select {{ broken\n")
    with pytest.raises(ManifestError, match=r"cannot parse the project .*project(?s:.*)two"):
        ensure_manifest(settings)


def test_two_processes_that_prepare_at_once_both_get_it(project: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ingest.settings import Settings;"
        "from orchestration.dbt_manifest import ensure_manifest;"
        "print(ensure_manifest(Settings(data=Path(sys.argv[1]))).read_text().count('model.tiny.one') > 0)"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == ["True\n", "True\n"]


def test_what_dbt_writes_does_not_make_the_manifest_old(project: Path) -> None:
    before = fingerprint(project)
    (project / "target").mkdir()
    (project / "target" / "manifest.yml").write_text("x")
    (project / "logs").mkdir()
    (project / "logs" / "dbt.md").write_text("x")
    assert fingerprint(project) == before
