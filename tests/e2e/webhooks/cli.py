"""The `earshot` command as a process, and `earshot listen` as one that goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.lake import utc_now_us
from serving.webhooks.sign import headers as signed

LOCAL = {"EARSHOT_WEBHOOK_TEST_HOSTS": "127.0.0.1"}


def environment(data: Path, **given: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
    return own | {"EARSHOT_DATA": str(data), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | given


def earshot(data: Path, *arguments: object, **given: str) -> subprocess.CompletedProcess[str]:
    """The real command, as a process."""
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(data, **(given or LOCAL)),
        timeout=120,
    )


@dataclass
class Listening:
    """A running `earshot listen --output json`."""

    process: subprocess.Popen[str]
    url: str
    secret: str
    line: str  # what it tells to type

    def heard(self) -> dict[str, Any]:
        """The next request."""
        assert self.process.stdout is not None
        found = json.loads(self.process.stdout.readline())
        assert isinstance(found, dict)
        return found

    def post(
        self, body: bytes, secret: str | None = None, sent: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """(status, answer) of a signed request; `sent`: another body under the same signature."""
        own = signed("evt_1", body, [secret or self.secret], utc_now_us(), 1)
        request = urllib.request.Request(self.url, sent or body, own | headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@contextlib.contextmanager
def listening(data: Path, *arguments: object) -> Iterator[Listening]:
    command = [sys.executable, "-m", "earshot.cli", "listen", "--port", "0", "--output", "json"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(data),
    )
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        found = re.search(r"earshot subscribe (\S+) --secret (\S+)", lines[2])
        assert found, lines
        yield Listening(process, found[1], found[2], lines[2].strip())
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        found = json.loads(self.out)
        return found if isinstance(found, list) else found["deliveries"]

    @property
    def answer(self) -> str:
        return "\n".join(json.loads(self.out)["answer"])


Typed = Callable[..., Said]
