"""The pages over a small publication, answered in process, and by a real server to a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from registry import show_access
from registry.api_keys import Scope, create
from registry.database import connect
from registry.show_access import Subject
from serving.api.app import create_app
from serving.api.core import Core
from tests.serving.api.conftest import NOW_US, settings_of
from tests.serving.pages import world

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the world; its tests change nothing in it but sessions, keys and access."""
    folder = tmp_path_factory.mktemp("pages")
    world.build(folder / "published")
    connect(None, folder).dispose()
    return folder


@pytest.fixture(scope="module")
def client(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    data = shutil.copytree(made, tmp_path_factory.mktemp("data") / "data", symlinks=True)
    with TestClient(create_app(settings_of(data)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def core(client: TestClient) -> Core:
    found: Core = client.app.state.core  # type: ignore[attr-defined]
    return found


@pytest.fixture(scope="module")
def keys(core: Core) -> dict[str, str]:
    made = keys_in(core.engine)
    core.refresh()
    return made


def keys_in(engine: Engine) -> dict[str, str]:
    """Of ann, who owns show-a, of bob, who owns evil, of the operator; open-1 is open to anybody in part."""
    made = {name: create(engine, NOW_US, name, [Scope.READ])[0] for name in ("ann", "bob")}
    made["operator"] = create(engine, NOW_US, "house", [Scope.OPERATE])[0]
    made["hints"] = create(engine, NOW_US, "house", [Scope.HINTS])[0]
    show_access.grant(engine, NOW_US, "ann", [world.OWN])
    show_access.grant(engine, NOW_US, "bob", [world.EVIL])
    show_access.open_to_all(engine, NOW_US, [world.OPEN], [Subject.DOWNLOADS, Subject.AUDIENCE])
    return made


@pytest.fixture(autouse=True)
def nobody_is_remembered(client: TestClient) -> None:
    client.cookies.clear()


@dataclass(frozen=True)
class Site:
    """Pages served as in production."""

    address: str
    keys: dict[str, str]
    data: Path


@pytest.fixture(scope="session")
def site(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`earshot serve` on a copy of the world, for browsers."""
    data = shutil.copytree(made, tmp_path_factory.mktemp("site") / "data", symlinks=True)
    engine = connect(None, data)
    keys = keys_in(engine)
    engine.dispose()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "earshot.cli", "serve", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "EARSHOT_DATA": str(data), "EARSHOT_API_PUBLIC_RATE": "0"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Site(f"http://127.0.0.1:{port}", keys, data)
        server.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
