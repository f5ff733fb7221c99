"""The compose file and the image: all they name is there; and the loop of the prefix, with a real nginx."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from earshot.cli import app
from ingest.settings import Settings
from serving.edge.server import EdgeError, nginx
from serving.edge.settings import EdgeSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"] == "earshot"}
CONTAINERFILE = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", CONTAINERFILE, re.MULTILINE)


def copied() -> set[str]:
    """What comes into the image out of this repository."""
    return {
        source for line in instructions("COPY") if not line.startswith("--") for source in line.split()[:-1]
    }


@pytest.mark.parametrize("name", OURS)
def test_each_service_calls_a_command_that_exists(name: str) -> None:
    service = OURS[name]
    entry = service.get("entrypoint", ["earshot"])
    if entry[0] != "earshot":
        inside = entry[0].removeprefix("/opt/earshot/")
        assert inside in copied() and os.access(ROOT / inside, os.X_OK)
        return
    words = [*entry[1:], *service["command"]]
    if name == "backup":
        words.append("/backup/today.tar")  # given by who runs it
    typer.main.get_command(app).commands[words[0]].make_context("earshot", words[1:])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OURS)
def test_each_service_may_do_no_more_than_it_must(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"] and "privileged" not in service
    for port in service.get("ports", []):
        assert name == "edge" or port.startswith("127.0.0.1:"), "TLS stands in front of it"
    assert service["depends_on"], "nothing of ours starts before the tables are there"


@pytest.mark.parametrize("name", OURS)
def test_each_setting_is_one_of_ours_and_none_holds_a_password(name: str) -> None:
    known = {f"EARSHOT_{each.upper()}" for each in Settings.model_fields}
    known |= {f"EARSHOT_EDGE_{each.upper()}" for each in EdgeSettings.model_fields}
    environment = OURS[name]["environment"]
    assert {each for each in environment if each.startswith("EARSHOT_")} <= known
    assert environment["PGPASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    for each in ("EARSHOT_REGISTRY", "EARSHOT_DAGSTER_DB"):
        assert environment[each] == "postgresql://earshot@postgres/earshot"
        assert COMPOSE["services"]["postgres"]["environment"]["POSTGRES_USER"] == "earshot"


def test_volumes_and_services_that_are_named_are_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in COMPOSE["volumes"], name
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])


def test_the_image_holds_every_package_and_each_path_it_copies_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages <= copied()
    assert {"dbt_project", "workspace.yaml", "requirements.lock"} <= copied()
    for path in copied():
        assert (ROOT / path).exists(), path


def test_the_image_runs_as_a_user_of_its_own_and_takes_no_secret_along() -> None:
    assert instructions("USER") == ["earshot"]
    left_out = (DEPLOY / "Containerfile.dockerignore").read_text().split()
    assert {"**/earshot.env", "**/.env", ".earshot"} <= set(left_out)
    assert '"earshot"' in instructions("ENTRYPOINT")[0]


def ask(port: int, path: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "pfx.example.net"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("location")
    finally:
        connection.close()


def test_the_loop_serves_hands_its_lines_over_and_ends_in_order(tmp_path: Path) -> None:
    data = tmp_path / "data"
    try:
        nginx(EdgeSettings.from_env({"EARSHOT_DATA": str(data)}))
    except EdgeError as error:
        pytest.skip(f"left out: {error}")
    data.mkdir()
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
    loop = subprocess.Popen(
        [str(DEPLOY / "edge-loop.sh")],
        env={
            **clean,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "EARSHOT_DATA": str(data),
            "EARSHOT_EDGE_LISTEN": f"127.0.0.1:{port}",
            "EARSHOT_EDGE_HOSTS": "media.example.com",
            "ROTATE_EVERY_S": "1",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    landed = data / "landing" / "edge"
    try:
        until = time.monotonic() + 120
        while True:
            try:
                assert ask(port, "/e/media.example.com/1.mp3") == (302, "https://media.example.com/1.mp3")
                break
            except OSError:
                assert loop.poll() is None and time.monotonic() < until
                time.sleep(0.1)
        while not list(landed.glob("*.json")):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert ask(port, "/e/media.example.com/2.mp3")[0] == 302
    finally:
        loop.send_signal(signal.SIGTERM)
        _, said = loop.communicate(timeout=120)
    assert loop.returncode == 0, said
    lines = "".join(path.read_text() for path in landed.glob("*.json")).splitlines()
    assert len(lines) == 2, said
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
