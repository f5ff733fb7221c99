"""PostgreSQL gone for a minute in the middle of everything: one message, then all goes on as before."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from earshot.failures import in_plain_words
from earshot.made_up.webhooks.endpoints import Endpoint
from earshot.made_up.webhooks.receiver import receiving
from ingest.settings import SettingError, Settings
from registry import tables
from registry.database import connect, connected
from registry.podcasts import Registration, listing, register
from registry.subscribing import wish
from registry.subscriptions import add
from serving.api.app import create_app
from serving.webhooks.deliver import Delivered, DeliverSettings, deliver
from serving.webhooks.send import SendSettings
from tests.postgres import NoPostgres, Postgres, _account, _binaries, running_postgres
from tests.registry.test_outbox import rows_of, sent
from tests.registry.test_tracker import DECLARED, MONTH, NOW, URL, Feed, poll, serving
from tests.registry.webhook_rows import SECRET
from tests.registry.webhook_rows import endpoint as subscribed
from tests.serving.api.conftest import keys_of, of, settings_of, template
from tests.serving.webhooks.test_deliver import SHARDS
from tests.serving.webhooks.test_deliver import told as changes_wait

__all__ = ["template"]

AWAY_S = float(os.environ.get("EARSHOT_TEST_AWAY_S", "2"))  # a minute in the soak
PATIENCE_S = 60


class Server:
    """One that can be stopped and started again."""

    def __init__(self, server: Postgres) -> None:
        self.server, self._ours = server, list[subprocess.Popen[bytes]]()

    def fresh(self) -> str:
        return self.server.url(self.server.create_database())

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """As a restart of its machine: all connections end."""
        pid = int((self.server.sockets / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGINT)
        with contextlib.suppress(ProcessLookupError):
            until = time.monotonic() + PATIENCE_S
            while time.monotonic() < until and (self.server.sockets / "data" / "postmaster.pid").exists():
                time.sleep(0.02)
        for each in self._ours:
            each.wait(PATIENCE_S)
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        owner = _account()
        run_as = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        folder = self.server.sockets
        command = [_binaries(run_as) / "postgres", "-D", folder / "data", "-k", folder, "-p", 5432]
        settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
        with (folder / "log2").open("ab") as log:
            self._ours.append(
                subprocess.Popen([str(part) for part in (*command, *settings)], stderr=log, cwd="/", **run_as)  # type: ignore[call-overload]
            )
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg2.connect(self.server.url("postgres")).close()
                return
            except psycopg2.OperationalError:
                assert time.monotonic() < until
                time.sleep(0.05)

    def end(self) -> None:
        for each in self._ours:
            if each.poll() is None:
                each.send_signal(signal.SIGQUIT)
                each.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    try:
        with running_postgres() as running:
            server = Server(running)
            yield server
            server.end()
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


def test_a_command_is_told_once_and_plainly_and_works_again_afterwards(
    postgres: Server, tmp_path: Path
) -> None:
    url = postgres.fresh()
    with connected(url, tmp_path) as engine:
        register(engine, [Registration(URL)], NOW)
        with postgres.away():
            with pytest.raises(SettingError) as told:
                connect(url, tmp_path)
            message, code = in_plain_words(told.value) or ("", 0)
            assert code == 2 and "EARSHOT_REGISTRY = postgresql" in message and "\n" not in message
            assert "Is the server running" in message and "`earshot doctor` tells" in message
            with pytest.raises(OperationalError) as failed:
                register(engine, [Registration("https://pod.example.com/2")], NOW)
            message, _ = in_plain_words(failed.value) or ("", 0)
            assert message.startswith("the registry failed: ") and "`earshot doctor` tells" in message
        register(engine, [Registration("https://pod.example.com/2")], NOW)
        assert len(listing(engine)) == 2


def test_a_sender_of_webhooks_waits_and_then_sends_each_once(postgres: Server, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", registry=postgres.fresh(), webhook_test_hosts="127.0.0.1")
    stop, done = threading.Event(), list[Delivered]()
    send = SendSettings(timeout_s=2, test_hosts=frozenset({"127.0.0.1"}))
    count = 40
    with receiving({"e": Endpoint(secrets=(SECRET,))}, tmp_path) as receiver:
        with connected(settings.registry, settings.data) as engine:
            one = subscribed(engine, url=receiver.url("e"), is_ordered=True, rate_per_s=20)
            changes_wait(engine, one, count)
        how = DeliverSettings(lease_s=1, send=send)
        worker = threading.Thread(target=lambda: done.append(deliver(settings, SHARDS, how, stop)))
        worker.start()
        until = time.monotonic() + PATIENCE_S
        while len(receiver.received()) < 5:
            assert time.monotonic() < until
            time.sleep(0.02)
        with postgres.away():
            time.sleep(AWAY_S)
        with connected(settings.registry, settings.data) as engine:
            while sum(row["state"] == "sent" for row in rows_of(engine, tables.deliveries)) < count:
                assert time.monotonic() < until + AWAY_S
                time.sleep(0.1)
        stop.set()
        worker.join(PATIENCE_S)
        received = receiver.received()
    assert len(done) == 1
    firsts = list(dict.fromkeys(each.message_id for each in received))
    assert firsts == [f"evt_{one}_{number}" for number in range(1, count + 1)]
    taken = [(each.message_id, each.attempt) for each in received]
    assert len(taken) == len(set(taken))


def test_a_sweep_fails_and_the_next_one_tells_each_change_once(postgres: Server, tmp_path: Path) -> None:
    with connected(postgres.fresh(), tmp_path) as engine, serving(Feed()) as feed:
        register(engine, [Registration(URL)], NOW)
        add(engine, wish("https://hooks.example.com/"), NOW)
        poll(engine, tmp_path / "lake", feed.port, NOW)
        feed.guid = DECLARED
        with postgres.away(), pytest.raises(OperationalError):
            poll(engine, tmp_path / "lake", feed.port, NOW + MONTH)
        assert sent(engine) == []
        poll(engine, tmp_path / "lake", feed.port, NOW + MONTH)
        assert len(sent(engine)) == 1


def test_the_api_answers_503_without_a_word_of_the_database_and_then_answers_again(
    postgres: Server, template: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(template, tmp_path / "data", symlinks=True)
    platform = Settings(data=data, registry=postgres.fresh())
    settings = settings_of(data).model_copy(update={"platform": platform})
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        keys = keys_of(client.app.state.core)  # type: ignore[attr-defined]
        asked = {"url": "/v1/subscriptions", "headers": of(keys["ann"])}
        assert client.get(**asked).status_code == 200
        with postgres.away():
            answer = client.get(**asked)
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
            said = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert (
                "psycopg2" not in answer.text and "Traceback" not in answer.text and "sock" not in answer.text
            )
            assert "again" in said["detail"]
        assert client.get(**asked).status_code == 200
