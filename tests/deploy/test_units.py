"""The systemd units: what they call exists, what they may not do, and systemd's own judgement."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer

from earshot.cli import app

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
INSTALLED = "/opt/earshot/.venv/bin/earshot"
SERVICES = sorted(UNITS.glob("earshot-*.service"))
TIMERS = sorted(UNITS.glob("*.timer"))
_UNIT = (".service", ".timer", ".target")
MOST_EXPOSED = 2.0  # of 10, as `systemd-analyze security` says; without hardening they have 9.6


def read(path: Path) -> ConfigParser:
    unit = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    return unit


def lines(path: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", path.read_text(), re.MULTILINE)


def called(path: Path) -> list[list[str]]:
    """The `earshot` commands of a unit."""
    found = []
    for key in ("ExecStartPre", "ExecStart", "ExecReload"):
        for line in lines(path, key):
            words = shlex.split(line.replace("%%", "%"))
            if words[0] == "/bin/sh":
                words = shlex.split(words[2].removeprefix("exec "))
            if Path(words[0]).name == "earshot":
                found.append(words)
    return found


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_each_command_it_calls_exists_with_its_options(path: Path) -> None:
    root = typer.main.get_command(app)
    assert called(path) or path.name == "earshot-edge.service"
    for words in called(path):
        assert words[0] in (INSTALLED, "earshot"), "PATH of the drop-in begins with the installation"
        command, rest = root, words[1:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context("earshot", list(rest), resilient_parsing=False)


@pytest.mark.parametrize("path", TIMERS, ids=lambda path: path.name)
def test_each_timer_has_its_service_and_is_started_with_all_else(path: Path) -> None:
    assert path.with_suffix(".service").exists()
    assert path.name in " ".join(lines(UNITS / "earshot.target", "Wants"))


def test_what_runs_on_is_started_with_the_target_and_again_when_it_ends() -> None:
    wanted = " ".join(lines(UNITS / "earshot.target", "Wants"))
    lasting = [path for path in SERVICES if lines(path, "Type") == ["exec"]]
    assert {path.stem for path in lasting} == {
        "earshot-run",
        "earshot-api",
        "earshot-deliver",
        "earshot-edge",
    }
    for path in lasting:
        assert path.name in wanted
        assert lines(path, "Restart") == ["always"]
        assert not lines(path, "WatchdogSec"), "nothing of ours tells systemd that it lives"


def test_who_waits_for_an_answer_goes_before_runs() -> None:
    weight = {path.stem: int(lines(path, "CPUWeight")[0]) for path in SERVICES}
    assert weight["earshot-edge"] > weight["earshot-api"] > weight["earshot-run"] > weight["earshot-backup"]


def test_all_share_one_file_of_settings_and_write_only_where_they_must() -> None:
    common = read(UNITS / "earshot-.service.d" / "10-common.conf")["Service"]
    assert common["EnvironmentFile"] == "/etc/earshot/earshot.env"
    assert (common["UMask"], common["NoNewPrivileges"], common["ProtectSystem"]) == ("0077", "yes", "strict")
    assert common["ReadWritePaths"] == "/var/lib/earshot /var/cache/earshot"
    more = {path.stem: found for path in SERVICES if (found := lines(path, "ReadWritePaths"))}
    assert more == {"earshot-backup": ["/var/backups/earshot"]}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with paths and user of this machine, for systemd looks whether they are there."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("left out: systemd-analyze is not installed")
    folder = tmp_path_factory.mktemp("units") / "units"
    shutil.copytree(UNITS, folder)
    command = Path(sys.executable).with_name("earshot")
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin") or "/bin/true"
    for path in folder.rglob("*.*"):
        if path.is_file():
            text = path.read_text().replace(INSTALLED, str(command)).replace("/usr/sbin/nginx", nginx)
            path.write_text(text)
    return folder


def analyzed(folder: Path, *arguments: str, which: str = "earshot[-.]*") -> subprocess.CompletedProcess[str]:
    units = sorted(folder.glob(which))
    return subprocess.run(
        ["systemd-analyze", *arguments, *(str(path) for path in units if path.suffix in _UNIT)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_PAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_finds_nothing_amiss(here: Path) -> None:
    common = here / "earshot-.service.d" / "10-common.conf"
    text = common.read_text()
    common.write_text(text.replace("User=earshot", "User=root").replace("Group=earshot", "Group=root"))
    done = analyzed(here, "verify")
    common.write_text(text)
    told = [line for line in done.stderr.splitlines() if "earshot" in line]
    assert (done.returncode, told) == (0, [])


def test_systemd_judges_them_hardened(here: Path) -> None:
    done = analyzed(here, "security", "--offline=yes", which="earshot-*.service")
    found = dict(re.findall(r"exposure level for (earshot-\w+)\.service: ([\d.]+)", done.stdout))
    assert set(found) == {path.stem for path in SERVICES}, done.stderr
    assert {name: each for name, each in found.items() if float(each) > MOST_EXPOSED} == {}
