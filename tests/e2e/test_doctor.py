"""What `earshot doctor` says of sources: each as the sensor sees it, and what is wrong with sources.toml."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from earshot.doctor import examine
from earshot.finding import Finding, Verdict
from earshot.privacy.status import epochs
from earshot.show import show_findings
from ingest.logs.keyring import KeyRing
from ingest.reference.refresh import refresh
from ingest.settings import Settings
from tests.ingest.samples import bunny, land, nginx, settings_of, take


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(settings)}


def test_each_source_is_listed_with_what_is_declared_of_it_and_its_files(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    land(settings, nginx(), "edge")
    land(settings, bunny(), "edge", "b.log")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.json").write_text(nginx())
    (settings.data / "sources.toml").write_text(
        f'[cdn]\nclass = "server_log"\nformat = "nginx"\npath = "{tmp_path}/logs/*.json"\n'
        "trusted_proxies = 2\ncomparable = false\n"
    )
    findings = found(settings)
    assert findings["source cdn"].found == (
        f"1 files in {tmp_path}/logs/*.json: format nginx, class server_log, trusted_proxies 2, "
        "time_zone UTC, comparable false"
    )
    assert findings["source edge"].found == (
        f"2 files in {settings.landing_dir}/edge: format auto, class by format, trusted_proxies 0, "
        "time_zone UTC, comparable by format"
    )
    assert {findings[f"source {name}"].verdict for name in ("cdn", "edge")} == {Verdict.FINE}
    slow = found(settings.model_copy(update={"settle_s": 3600}))
    assert slow["source edge"].found.startswith(f"2 files too new yet in {settings.landing_dir}/edge:")


def test_each_finding_has_a_name_of_its_own(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir()
    (settings.data / "included_addresses.csv").write_text(
        "address,added_on,validated_on,reason\n192.0.2.1,2020-01-01,2020-01-01,an office\n"
    )
    refresh(settings, ["included_addresses"])
    names = [finding.what for finding in examine(settings)]
    assert {"reference lists", "inclusions"} <= set(names) and len(names) == len(set(names))


def test_a_path_that_does_not_exist_is_odd_and_says_what_to_do(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir()
    (settings.data / "sources.toml").write_text('[cdn]\npath = "/nowhere/x/*.log"\n')
    finding = found(settings)["source cdn"]
    assert finding.verdict is Verdict.ODD
    assert "/nowhere/x does not exist" in finding.found and "create it" in finding.advice


def test_a_broken_declaration_is_told_with_what_is_allowed_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    land(settings, nginx())
    (settings.data / "sources.toml").write_text('[cdn]\nformat = "apache"\n')
    findings = found(settings)
    assert findings["sources"].verdict is Verdict.WRONG
    assert (
        "[cdn]: format = 'apache' cannot be used; allowed are auto, cloudfront" in findings["sources"].found
    )
    assert "nothing is lost" in findings["sources"].advice
    assert "disk" in findings and findings["landing"].verdict is Verdict.FINE


def test_whether_the_platform_runs_is_told_and_its_own_port_is_no_worry(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir()
    assert found(settings)["platform"].verdict is Verdict.ODD
    claim = (
        "import sys; from pathlib import Path; from orchestration.alone import claim; "
        "claim(Path(sys.argv[1])); print('runs', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", claim, str(settings.data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as platform:
        assert platform.stdout is not None and platform.stdout.readline()
        findings = found(settings)
        assert findings["platform"].found.startswith(f"runs: pid {platform.pid}")
        assert not [what for what in findings if what.startswith("port ")]
        platform.kill()


def test_a_lost_key_file_is_told_until_it_is_put_back(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir()
    KeyRing.of(settings).secret(700)
    path = settings.keys_dir / "epoch-700.key"
    assert f"key file {path.name}" not in found(settings)
    path.rename(tmp_path / "forgotten")
    lost = found(settings)[f"key file {path.name}"]
    assert lost.verdict is Verdict.WRONG and "--files-only" in lost.advice
    assert [(row["epoch"], row["state"]) for row in epochs(settings, 0)] == [(700, "lost")]
    (tmp_path / "forgotten").rename(path)
    assert f"key file {path.name}" not in found(settings)


def test_findings_in_a_pipe_are_whole_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "a word " * 40
    show_findings([Finding("disk", long, Verdict.WRONG, "make room"), Finding("Python", "3.11")])
    assert capsys.readouterr().out.splitlines() == [
        f"wrong  disk: {long}",
        "       → make room",
        "ok     Python: 3.11",
    ]


def test_files_that_nobody_takes_in_are_told_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    file = land(settings, nginx())
    assert "files that wait" not in found(settings), "it has just landed"
    later = time.time_ns() + 3600 * 1_000_000_000
    monkeypatch.setattr("earshot.doctor.time.time_ns", lambda: later)
    waiting = found(settings)["files that wait"]
    assert waiting.verdict is Verdict.ODD and f"{file.source}/{file.name}" in waiting.found
    take(settings, file)
    assert "files that wait" not in found(settings)
