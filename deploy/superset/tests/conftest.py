"""One Superset for all tests, started as `make bi` does, over a data folder with the demo's marts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.superset.tests.house import House, furnish
from tests.postgres import Postgres, postgres

__all__ = ["postgres"]

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Superset:
    """A running one."""

    base: str
    password: str
    environment: dict[str, str]

    def start_again(self) -> str:
        """What a second start says before it would serve."""
        return prepare(self.environment)


@pytest.fixture(scope="session")
def chromium() -> str:
    found = [path for name in CHROMIUM if (path := shutil.which(name))]
    return found[0] if found else pytest.skip("no Chromium is installed: `apt-get install chromium`")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: EARSHOT_BI_PICTURES, to look at them."""
    given = os.environ.get("EARSHOT_BI_PICTURES")
    folder = Path(given) if given else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def house(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> House:
    """EARSHOT_BI_TEST_DATA is a data folder that `earshot demo --once` has made already."""
    given = os.environ.get("EARSHOT_BI_TEST_DATA")
    made = Path(given) if given else tmp_path_factory.mktemp("demo") / "data"
    if not given:
        environment = {**os.environ, "EARSHOT_DATA": str(made)}
        subprocess.run(["earshot", "demo", "--once"], env=environment, cwd=ROOT, check=True)
    folder = tmp_path_factory.mktemp("house") / "data"
    return furnish(folder, made, postgres.url(postgres.create_database()))


@pytest.fixture(scope="session")
def superset(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "EARSHOT_DATA": str(house.data),
        "EARSHOT_BI_MARTS_DB": house.reader,
        "EARSHOT_BI_PORT": str(port),
    }
    said = prepare(environment)
    password = re.search(r"password (\S+)", said)
    assert password, said
    log = tmp_path_factory.mktemp("superset") / "log"
    with log.open("w") as file:
        server = subprocess.Popen(command(), env=environment, cwd=ROOT, stdout=file, stderr=file)
    try:
        base = f"http://127.0.0.1:{port}"
        _wait_for(base, server, log)
        yield Superset(base, password[1], environment)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def command(*options: str) -> list[str]:
    python = os.environ.get("EARSHOT_BI_PYTHON") or str(ROOT / ".venv-bi" / "bin" / "python")
    return [python, "-m", "deploy.superset.start", *options]


def prepare(environment: dict[str, str]) -> str:
    done = subprocess.run(
        command("--prepare-only"), env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _wait_for(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 180
    while time.monotonic() < give_up and server.poll() is None:
        try:
            if httpx.get(f"{base}/health").text == "OK":
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(f"Superset does not start: {log.read_text()[-2000:]}")
