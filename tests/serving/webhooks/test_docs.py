"""docs/webhooks.md is true: its tables are those of the code, and its receivers run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.lake import utc_now_us
from serving.webhooks.breaker import DISABLE_AFTER_S, PAUSES_S, PROBE_AFTER
from serving.webhooks.catalogue import DOCS, example
from serving.webhooks.challenge import challenge
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.payload import MAX_BYTES
from serving.webhooks.schedule import MAX_FAILURES, RETRY_DELAYS_S
from serving.webhooks.send import Sender, SendSettings
from serving.webhooks.sign import headers
from tests.serving.webhooks import javascript
from tests.serving.webhooks.sending import LOCAL

TEXT = DOCS.read_text("utf-8")
OLD, NEW, OTHER = ("whsec_" + letter * 32 for letter in "ABC")
_UNITS = {"s": 1, "min": 60, "h": 3600}


def table(head: str) -> list[list[str]]:
    """The cells of the table with that head."""
    lines = TEXT.partition(f"{head}\n")[2].splitlines()[1:]
    end = next(number for number, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def seconds(text: str) -> int:
    number, unit = text.split()
    return int(number) * _UNITS[unit]


def test_the_retries_are_those_of_the_schedule() -> None:
    rows = table("| after failure | at most |")
    assert [int(number) for number, _ in rows] == list(range(1, MAX_FAILURES))
    assert [seconds(delay) for _, delay in rows] == list(RETRY_DELAYS_S)
    assert f"After failure {MAX_FAILURES} the message is given up" in TEXT
    assert f"In all it is {round(sum(RETRY_DELAYS_S) / 3600)} h at most" in TEXT


def test_the_pauses_are_those_of_the_breaker() -> None:
    rows = table("| failure in a row | rest |")
    assert [seconds(rest) for _, rest in rows] == list(PAUSES_S)
    first = [int(number.removesuffix(" and more")) for number, _ in rows]
    assert first == list(range(PROBE_AFTER, PROBE_AFTER + len(PAUSES_S)))
    assert f"From failure {PROBE_AFTER} in a row on" in TEXT
    assert f"in {DISABLE_AFTER_S // 86_400} days of\nfailures" in TEXT


def test_every_outcome_stands_in_its_table_with_its_meaning() -> None:
    rows = table("| outcome in the log | what happened |")
    assert [code.strip("`") for code, _ in rows] == [str(outcome) for outcome in Outcome]
    assert all(meaning for _, meaning in rows)


def test_the_limits_are_those_of_the_sender() -> None:
    limits = SendSettings()
    assert f"no connection within {limits.connect_s:g} s, or no status within {limits.timeout_s:g} s" in TEXT
    assert f"the first {limits.max_answer_bytes:,} bytes are kept" in TEXT
    assert f"longer than {limits.body_s:g} s after the status" in TEXT
    assert f"at most {MAX_BYTES:,} bytes" in TEXT


def test_every_header_is_described() -> None:
    sent = headers("evt_1", b"{}", [OLD], 0, 1)
    described = {name.strip("`") for name, _ in table("| header | what it holds |")}
    assert described == {*sent, "user-agent"}


def code(name: str) -> str:
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```[a-z]+\n(.*?)\n```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def running(command: Sequence[str], secret: str, output: Path) -> Iterator[str]:
    """The URL of a receiver that runs; what it prints goes to `output`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = os.environ | {"PORT": str(port), "EARSHOT_WEBHOOK_SECRET": secret}
    with (
        output.open("wb") as printed,
        subprocess.Popen(command, env=environ, stdout=printed, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/hook"
        finally:
            process.kill()  # SIGTERM would be ignored where whoever started us has it so


RECEIVERS = [
    pytest.param("receiver.py", id="python"),
    pytest.param("receiver.mjs", id="javascript", marks=javascript.needs_node),
]


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_of_the_docs_works_through_challenge_duplicates_and_rotation(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(code(name))
    if name.endswith(".mjs"):
        (tmp_path / "node_modules").symlink_to(javascript.FOLDER / "node_modules")
    command = [sys.executable if name.endswith(".py") else "node", str(tmp_path / name)]

    async def use(url: str) -> list[Result]:
        async with Sender(LOCAL) as sender:
            await challenge(sender, url, OLD, utc_now_us())  # raises unless it is answered well

            async def send(type: str, message_id: str, *secrets: str) -> Result:
                now_us = utc_now_us()
                content = example(type, now_us)
                return await sender.post(url, content, headers(message_id, content, secrets, now_us, 1))

            return [
                await send("episode.created", "evt_1", OLD),
                await send("episode.created", "evt_1", OLD),  # once more
                await send("changes.batch", "batch_1", NEW, OLD),  # while it is rotated
                await send("webhook.test", "test_1", OLD),
                await send("episode.created", "evt_2", NEW),  # a day later it still knows the old one only
                await send("episode.created", "evt_3", OTHER),
            ]

    with running(command, OLD, tmp_path / "printed") as url:
        results = asyncio.run(use(url))
    assert [result.status for result in results] == [204, 204, 204, 204, 401, 401]
    took = [line.split()[:2] for line in (tmp_path / "printed").read_text().splitlines()]
    # The one event, once; then the two of the batch.
    assert took == [["episode.created", "12"], ["episode.created", "12"], ["podcast.updated", "13"]]


def test_the_receiver_of_the_docs_takes_a_message_that_comes_twice_at_once_once(tmp_path: Path) -> None:
    """It answers by HTTP/1.1, so that connections are used again."""
    receiver = tmp_path / "receiver.py"
    # Slow to take a message: both copies are there before the first one is taken.
    receiver.write_text(
        f"import time\n{code('receiver.py')}".replace("    print(", "    time.sleep(0.3); print(")
    )
    content, now_us = example("episode.created", utc_now_us()), utc_now_us()

    async def use(url: str) -> None:
        async with Sender(LOCAL) as sender:
            signed = headers("evt_1", content, [OLD], now_us, 1)
            results = await asyncio.gather(*(sender.post(url, content, signed) for _ in range(4)))
            assert [result.status for result in results] == [204] * 4

    def answered(url: str) -> bytes:
        address = url.split("/")[2].split(":")
        with socket.create_connection((address[0], int(address[1])), 10) as connection:
            connection.sendall(b"POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            return connection.recv(20)

    with running([sys.executable, str(receiver)], OLD, tmp_path / "printed") as url:
        asyncio.run(use(url))
        assert answered(url).startswith(b"HTTP/1.1 401")
    assert (tmp_path / "printed").read_text().count("episode.created") == 1


def test_the_documented_body_is_one_of_the_catalogue() -> None:
    blocks = re.findall(r"#### `([a-z.]+)`\n.*?```json\n(.*?)\n```", TEXT, re.DOTALL)
    assert all(json.loads(block)["type"] == type for type, block in blocks)
    assert len(blocks) == 12
