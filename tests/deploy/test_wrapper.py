"""deploy/systemd/earshot, the command of an installation: which settings it runs with."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

WRAPPER = Path(__file__).parents[2] / "deploy" / "systemd" / "earshot"
SERVICE = 65_534
HOSTILE = "a 'b' \"c\" $(touch /nonexistent/x) `id`\nEARSHOT_KEEP_DAYS=1 \\ é"


@pytest.fixture
def place() -> Iterator[Path]:
    """An installation's folders, which another account gets to; its command prints what it is given."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        here = Path(folder)
        here.chmod(0o755)
        (here / "home").mkdir()
        (here / "command").write_text("#!/bin/sh\nenv -0\n")
        (here / "command").chmod(0o755)
        (here / "python").symlink_to("/bin/sh")
        (here / "earshot.env").write_text(
            "EARSHOT_DATA='/of/the/file'\nEARSHOT_REGISTRY='postgresql://u:p%26w@h/d?a=1&b=2'\n"
        )
        text = WRAPPER.read_text()
        for installed, ours in (
            ("/etc/earshot/earshot.env", str(here / "earshot.env")),
            ("/opt/earshot/.venv/bin/earshot", str(here / "command")),
            ("-x /opt/earshot/.venv/bin/python", f"-x {here / 'python'}"),
            ("cd /var/lib/earshot", f"cd {here / 'home'}"),
            (
                "--reuid earshot --regid earshot --init-groups",
                f"--reuid {SERVICE} --regid {SERVICE} --clear-groups",
            ),
        ):
            assert installed in text
            text = text.replace(installed, ours)
        (here / "earshot").write_text(text)
        (here / "earshot").chmod(0o755)
        yield here


@pytest.fixture(params=["root", "service"])
def uid(request: pytest.FixtureRequest) -> int | None:
    """Who calls it; None: as whom the tests run."""
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("left out: only root can call it as root")
        return None
    return 0 if request.param == "root" else SERVICE


def called(place: Path, uid: int | None, **given: str) -> dict[str, str]:
    """The environment of the command."""
    done = subprocess.run(
        [str(place / "earshot"), "doctor"],
        env={"PATH": os.environ["PATH"], **given},
        user=uid,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)


def test_it_runs_with_the_settings_of_the_file(place: Path, uid: int | None) -> None:
    told = called(place, uid)
    assert told["EARSHOT_DATA"] == "/of/the/file" and told["HOME"] == "/var/lib/earshot"
    assert told["EARSHOT_REGISTRY"] == "postgresql://u:p%26w@h/d?a=1&b=2"


def test_what_the_caller_sets_goes_before_the_file(place: Path, uid: int | None) -> None:
    told = called(place, uid, EARSHOT_DATA="/x", EARSHOT_ALERT_EMAIL_TO=HOSTILE, EARSHOT_REGISTRY="")
    assert told["EARSHOT_DATA"] == "/x" and told["EARSHOT_REGISTRY"] == ""
    assert told["EARSHOT_ALERT_EMAIL_TO"] == HOSTILE and "EARSHOT_KEEP_DAYS" not in told
    assert not [name for name in told if name.startswith("given")]


def test_without_a_file_it_has_the_folder_of_the_services(place: Path, uid: int | None) -> None:
    (place / "earshot.env").unlink()
    assert called(place, uid)["EARSHOT_DATA"] == "/var/lib/earshot/data"
    assert called(place, uid, EARSHOT_DATA="/x")["EARSHOT_DATA"] == "/x"


def test_a_python_that_the_service_may_not_run_is_told_with_what_to_do(place: Path, uid: int | None) -> None:
    (place / "python").unlink()
    (place / "python").symlink_to(place / "gone" / "python")
    done = subprocess.run(
        [str(place / "earshot"), "doctor"],
        capture_output=True,
        text=True,
        user=uid,
        check=False,
        cwd="/",
    )
    assert done.returncode == 1 and "make -C /opt/earshot setup PYTHON=/usr/bin/python3" in done.stderr
