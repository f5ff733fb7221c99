"""A small installation under Dagster's real servers: logs, a damaged file, a feed, an endpoint."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from earshot.demo import running_dagster, server_environment
from earshot.made_up.webhooks.endpoints import Endpoint
from earshot.made_up.webhooks.receiver import Log, receiving
from ingest.settings import Settings
from tests.e2e import planted

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE_S = 180  # a shared machine, stopped for a while now and then

_LAUNCH = """
mutation ($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""
_RUN = """
query ($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value }
  eventConnection { events { __typename ... on MessageEvent { message }
    ... on ExecutionStepFailureEvent { error { message } } } } } } }
"""
_PRESET = """
query ($s: PipelineSelector!) { pipelineOrError(params: $s) { ... on Pipeline { description
  presets { name runConfigYaml } } } }
"""
_CHECKS = """
query ($k: AssetKeyInput!) { assetNodeOrError(assetKey: $k) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name
  executionForLatestMaterialization { status } } } } } } }
"""
_EVENTS = """
query ($k: AssetKeyInput!) { assetOrError(assetKey: $k) { ... on Asset {
  assetMaterializations(limit: 50) { partition runId } } } }
"""


class Feed:
    """A feed whose title can be changed while it is served."""

    def __init__(self) -> None:
        self.title, self.polls = "Tea at noon", 0
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                feed.polls += 1
                body = (
                    '<?xml version="1.0"?><rss version="2.0"><channel>'
                    f"<title>{feed.title}</title><link>https://tea.example/</link>"
                    '<item><guid>one</guid><title>One</title><enclosure url="https://media.example.com/1.mp3"'
                    ' length="1000000" type="audio/mpeg"/></item></channel></rss>'
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/rss+xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/feed.xml"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class DagsterHouse:
    """The servers' address, and what lies around them."""

    address: str
    settings: Settings
    feed: Feed
    received: Log
    pid: int
    heard: list[Any] = field(default_factory=list)

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """One GraphQL question, as the UI asks it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        asked = urllib.request.Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            told = json.load(answer)
        assert "errors" not in told, told
        data: dict[str, Any] = told["data"]
        return data

    def selector(self, job: str) -> dict[str, str]:
        return {
            "repositoryLocationName": "ingest",
            "repositoryName": "__repository__",
            "pipelineName": job,
        }

    def preset(self, job: str) -> tuple[str, str]:
        """Description and run config with which the launchpad opens."""
        (found,) = self.ask(_PRESET, s=self.selector(job))["pipelineOrError"]["presets"]
        described = self.ask(_PRESET, s=self.selector(job))["pipelineOrError"]["description"]
        return described, found["runConfigYaml"]

    def launch(self, job: str, config: dict[str, Any] | str) -> dict[str, Any]:
        """Launch as the launchpad does, wait for its end: status, tags, and all it said."""
        where = self.selector(job)
        where["jobName"] = where.pop("pipelineName")
        asked = {"selector": where, "runConfigData": config, "mode": "default"}
        told = self.ask(_LAUNCH, p=asked)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        run_id = told["run"]["runId"]

        def ended() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["status"] in ("SUCCESS", "FAILURE") else None

        run: dict[str, Any] = self.until(ended)
        return run

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(_RUN, id=run_id)["runOrError"]
        events = found["eventConnection"]["events"]
        said = "\n".join(
            f"{event.get('message') or ''} {(event.get('error') or {}).get('message', '')}"
            for event in events
        )
        tags = {tag["key"]: tag["value"] for tag in found["tags"]}
        return {"id": run_id, "status": found["status"], "tags": tags, "said": said}

    def runs_of(self, job: str) -> set[str]:
        """Ids of all runs of a job."""
        asked = "query ($f: RunsFilter) { runsOrError(filter: $f) { ... on Runs { results { runId } } } }"
        found = self.ask(asked, f={"pipelineName": job})["runsOrError"]["results"]
        return {run["runId"] for run in found}

    def checks_told(self, asset: str) -> set[str]:
        """The checks of `asset` that some run has judged."""
        found = self.ask(_CHECKS, k={"path": [asset]})["assetNodeOrError"]["assetChecksOrError"]["checks"]
        return {check["name"] for check in found if check["executionForLatestMaterialization"]}

    def partitions(self, asset: str, run_id: str) -> set[str]:
        """The partitions of `asset` that this run told to be made."""
        found = self.ask(_EVENTS, k={"path": [asset]})["assetOrError"]["assetMaterializations"]
        return {event["partition"] for event in found if event["runId"] == run_id}

    def until(self, seen: Any) -> Any:
        """What `seen` returns once it is not None. Fails after PATIENCE_S."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError, TypeError, KeyError):  # servers that are not up yet
                if (found := seen()) is not None:
                    return found
            time.sleep(0.5)
        raise AssertionError(f"not seen within {PATIENCE_S} s")

    def messages(self) -> list[Any]:
        """What the endpoint was sent so far."""
        self.heard += self.received.more()
        return self.heard


def log_lines(number: int, day: datetime, first: int = 0) -> str:
    """Lines of our nginx format: whole downloads by as many listeners."""
    return "".join(
        json.dumps(
            {
                "ts": day.timestamp() + n, "dur": 0.5, "ip": f"203.0.113.{(first + n) % 250}",
                "id": f"request-{first + n}", "method": "GET", "host": "media.example.com", "uri": "/1.mp3",
                "status": 200, "bytes": 1_000_000, "range": "", "content_range": "",
                "ua": "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)", "ref": "",
            }
        ) + "\n"
        for n in range(number)
    )  # fmt: skip


def earshot(settings: Settings, *arguments: str) -> None:
    """The command line over this installation; fails with what it said."""
    from os import environ

    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        env={**environ, **server_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def dagster_house(folder: Path, endpoints: Path) -> Iterator[DagsterHouse]:
    """`earshot run` over a data folder of its own, ended at the end."""
    here = "127.0.0.0/8"
    settings = Settings(
        data=folder,
        settle_s=0,
        feed_test_hosts=here,
        webhook_test_hosts=here,
        # Nothing answers at any of these: what is told of it must not tell the secrets.
        marts_db=f"postgresql://reader:{planted.MARTS_PASSWORD}@127.0.0.1:1/marts",
        alert_email_to="team@example.com",
        alert_smtp_host="127.0.0.1",
        alert_smtp_port=1,
        alert_smtp_security="none",
        alert_smtp_user="earshot",
        alert_smtp_password=planted.SMTP_PASSWORD,
        alert_webhook_url=f"https://127.0.0.1:1/{planted.HOOK_TOKEN}",
        alert_webhook_secret=planted.HOOK_SECRET,
    )
    (folder / "feed_sources.toml").write_text(planted.FEED_SOURCES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    landing = settings.landing_dir / "edge"
    landing.mkdir(parents=True)
    yesterday = datetime.fromtimestamp(time.time() - 86_400, UTC).replace(hour=12)
    (landing / "good.json").write_text(log_lines(40, yesterday))
    (landing / "damaged.json").write_text(log_lines(2, yesterday, first=40) + "no JSON\n" * 30)
    feed = Feed()
    with receiving({"ok": Endpoint(secrets=(SECRET,))}, endpoints) as receiver:
        earshot(settings, "register", feed.url)
        earshot(settings, "subscribe", f"http://127.0.0.1:{receiver.port}/e/ok", "--secret", SECRET)
        with running_dagster(settings, port, folder / "servers.log") as servers:
            house = DagsterHouse(f"http://127.0.0.1:{port}", settings, feed, Log(receiver.log), servers.pid)
            loaded = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
            house.until(lambda: True if len(house.ask(loaded)["repositoriesOrError"]["nodes"]) == 2 else None)
            yield house
    feed.close()
