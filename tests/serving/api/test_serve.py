"""`earshot serve` as typed: two workers, one truth, through publications, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from registry.api_keys import Scope, create, revoke
from registry.database import connected
from registry.show_access import Subject, open_to_all
from tests.serving.api.conftest import NOW_US, of
from tests.serving.api.published import a_show, publish_rows

START_S = 60  # on a busy machine


@dataclass(frozen=True)
class Server:
    url: str
    data: Path
    process: subprocess.Popen[bytes]
    said: Path


def command(data: Path, port: int) -> tuple[list[str], dict[str, str]]:
    typed = [sys.executable, "-m", "earshot.cli", "serve", "--workers", "2", "--port", str(port)]
    told = {"EARSHOT_DATA": str(data), "EARSHOT_API_POLL_S": "0.1", "EARSHOT_API_PUBLIC_RATE": "0"}
    return typed, {**os.environ, **told}


@pytest.fixture
def server(data: Path, tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    typed, environment = command(data, port)
    said = tmp_path / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(typed, env=environment, stderr=output, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + START_S
        while True:
            assert process.poll() is None and time.monotonic() < give_up, process.poll()
            try:
                if httpx.get(f"{url}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield Server(url, data, process, said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait()


def eventually(what: object, seconds: float = 15) -> None:
    assert callable(what)
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_two_workers_serve_through_publications_and_end_with_ctrl_c(server: Server) -> None:
    with connected(None, server.data) as engine:
        key, made = create(engine, NOW_US, "house", [Scope.OPERATE])
        open_to_all(engine, NOW_US, ["*"], [Subject.DOWNLOADS])
    eventually(lambda: httpx.get(f"{server.url}/metrics", headers=of(key)).status_code == 200)
    eventually(lambda: len(httpx.get(f"{server.url}/v1/shows").json()["data"]) >= 1)

    wrong: list[object] = []
    seen: list[int] = []
    stop = threading.Event()

    def read() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                try:
                    told = client.get(f"{server.url}/v1/shows").json()
                    if told["version"] > 1 and told["data"][0]["episodes"] != told["version"]:
                        wrong.append(told)
                    seen.append(told["version"])
                except Exception as error:
                    wrong.append(error)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for version in (2, 3, 4):
            publish_rows(server.data / "published", {"dim_shows": [a_show("s", episodes=version)]})
        eventually(lambda: 4 in seen or wrong)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []

    # Whichever worker is asked tells what both did.
    def counted() -> bool:
        lines = httpx.get(f"{server.url}/metrics", headers=of(key)).text.splitlines()
        start = 'earshot_api_requests_total{method="GET",route="/v1/shows",status="200"}'
        return any(line.startswith(start) and float(line.split()[-1]) >= len(seen) for line in lines)

    eventually(counted)
    with connected(None, server.data) as engine:
        revoke(engine, NOW_US, made.key_id)
    eventually(lambda: httpx.get(f"{server.url}/v1/shows", headers=of(key)).status_code == 401)

    server.process.send_signal(signal.SIGINT)
    server.process.wait(timeout=30)
    said = server.said.read_text("utf-8")
    assert server.process.returncode == 0 and "Traceback" not in said, said
    assert f"serving: {server.url}" in said


def test_a_second_server_on_the_port_is_refused(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    typed, environment = command(server.data, port)
    for host in ("127.0.0.1", "0.0.0.0"):
        done = subprocess.run(
            [*typed, "--host", host],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        said = " ".join(done.stderr.replace("│", " ").split())
        assert done.returncode == 2 and f"port {port} of {host} is taken" in said, done.stderr
        assert "Traceback" not in done.stderr
    assert any((server.data / "api-metrics").iterdir())  # the running server's are as they were
    assert httpx.get(f"{server.url}/ready").status_code == 200


def test_an_address_that_is_not_this_machines_is_told_plainly(data: Path) -> None:
    typed, environment = command(data, 8000)
    for host in ("192.0.2.1", "no.such.host.invalid"):
        done = subprocess.run(
            [*typed, "--host", host], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and host in done.stderr and "Traceback" not in done.stderr


def test_the_documentation_page_has_its_scripts(server: Server) -> None:
    page = httpx.get(f"{server.url}/v1/docs").text
    parts = [part for part in page.split('"') if part.startswith("/v1/docs/")]
    assert len(parts) == 4
    for part in parts:
        answer = httpx.get(f"{server.url}{part}")
        assert answer.status_code == 200 and len(answer.content) > 50, part
        head = httpx.head(f"{server.url}{part}", headers={"accept-encoding": "identity"})
        plain = httpx.get(f"{server.url}{part}", headers={"accept-encoding": "identity"})
        assert int(head.headers["content-length"]) == len(plain.content), part


def test_a_setting_that_cannot_be_used_is_told_plainly(data: Path) -> None:
    typed, environment = command(data, 1)
    done = subprocess.run(
        typed, env=environment | {"EARSHOT_API_RATE": "fast"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "EARSHOT_API_RATE = 'fast'" in done.stderr
    assert "Traceback" not in done.stderr
