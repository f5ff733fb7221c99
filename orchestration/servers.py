"""`earshot run`: Dagster's webserver, its daemon and the code servers, forked from one process.

`dagster dev` runs the same with a proxy before each code server, so that code can be reloaded, and each
process imports Dagster for itself: † the two proxies take 3 % of a core and 160 MB (PSS) at rest. Here what
ends is started again, and new code is taken in by starting anew.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from ingest.modes import keep_from_others
from ingest.settings import SettingError, Settings
from orchestration import dagster_log
from orchestration.alone import AnotherRuns, claim
from orchestration.forks import FOLDER, RESPAWN_S, ForkServer, Location, fork, prepare

WORKSPACE = Path(__file__).resolve().parent.parent / "workspace.yaml"
# What a location's code imports anyway and starts no thread: shared by its code server and its runs.
SHARED = {"marts": ("dagster_dbt", "duckdb")}
DAGSTER = ("dagster", "dagster._cli.api", "dagster._grpc.server", "orchestration.storage")
WITH_POSTGRES = ("orchestration.postgres_storage",)
PATIENCE_S = 15
CODE_S = 60.0  # code servers listen after some three seconds

_log = logging.getLogger("earshot.run")


def serve(host: str, port: int) -> None:
    """Run all servers until SIGINT or SIGTERM. DAGSTER_HOME and EARSHOT_* come from the environment."""
    keep_from_others()
    folder = tempfile.mkdtemp(prefix="earshot-")  # a short path: a socket's may have 107 characters
    os.environ[FOLDER] = folder
    try:
        prepare(DAGSTER + (WITH_POSTGRES if os.environ.get("EARSHOT_DAGSTER_DB") else ()))
        dagster_log.take_over()
        _Supervisor(_programs(folder, host, port)).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def locations() -> list[Location]:
    """The code locations of workspace.yaml."""
    listed = yaml.safe_load(WORKSPACE.read_text())["load_from"]
    found = [each["python_module"] for each in listed]
    return [
        Location(each["location_name"], each["module_name"], SHARED.get(each["location_name"], ()))
        for each in found
    ]


def _programs(folder: str, host: str, port: int) -> dict[str, Callable[[], object]]:
    """What to run, by name, each in a process of its own."""
    workspace = Path(folder) / "workspace.yaml"
    grpc = [
        {"grpc_server": {"socket": f"{folder}/{each.name}", "host": "localhost", "location_name": each.name}}
        for each in locations()
    ]
    workspace.write_text(yaml.safe_dump({"load_from": grpc}))
    common = ["--workspace", str(workspace), "--log-level", "info"]

    def daemon() -> None:
        from dagster._daemon import controller
        from dagster._daemon.cli import run_command

        _wait_for_code(folder)
        # All locations are loaded again every minute by default, for code that was reloaded; here it changes
        # only with a new code server, which is noticed by itself.
        controller.RELOAD_WORKSPACE_INTERVAL = 3600
        _ask_less_often()
        run_command.main(common, "dagster-daemon")

    def webserver() -> None:
        from dagster_webserver.cli import create_dagster_webserver_cli

        from ingest.settings import Settings
        from orchestration.webserver_gate import install

        _wait_for_code(folder)
        install(host, Settings.from_env().dagster_url)
        _ask_less_often()
        dagster_log.take_over_webserver()
        address = ["--host", host, "--port", str(port), "--workspace", str(workspace)]
        create_dagster_webserver_cli().main(address, "dagster-webserver")  # type: ignore[no-untyped-call]

    return {
        **{
            each.name: ForkServer(each, folder, _code_server(each, folder), _execute, _report_dead).run
            for each in locations()
        },
        "daemon": daemon,
        "webserver": webserver,
    }


def _wait_for_code(folder: str) -> None:
    """Until the code servers listen: who asks before gets errors, and fills the log with them.

    After CODE_S without one it begins nevertheless: Dagster then says what it lacks.
    """
    missing, until = {f"{folder}/{each.name}" for each in locations()}, time.monotonic() + CODE_S
    while missing and time.monotonic() < until:
        missing = {path for path in missing if not _listens(path)}
        time.sleep(0.05)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def _ask_less_often() -> None:
    """Webserver and daemon ask each code server every second whether it is still the same one."""
    from dagster._grpc import server_watcher

    server_watcher.WATCH_INTERVAL = 5


def _code_server(location: Location, folder: str) -> Callable[[], object]:
    def run() -> None:
        from dagster._cli.api import grpc_command

        path = f"{folder}/{location.name}"
        Path(path).unlink(missing_ok=True)
        grpc_command.main(
            [
                *("--socket", path, "--lazy-load-user-code", "--log-level", "warning"),
                *("--module-name", location.module, "--location-name", location.name),
                *("--working-directory", str(Path.cwd()), "--inject-env-vars-from-instance"),
                *("--instance-ref", _instance_ref()),
            ],
            f"code server {location.name}",
        )

    return run


def _execute(arguments: str) -> None:
    from dagster._cli.api import execute_run_command

    execute_run_command.main([arguments], "run")


def _report_dead(run_id: str) -> None:
    """A run whose process crashed cannot tell so itself."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if run and not run.is_finished:
            instance.report_run_failed(run, "The process of this run ended without a word; see the log.")


def _instance_ref() -> str:
    import dagster as dg
    from dagster._serdes import serialize_value

    with dg.DagsterInstance.get() as instance:
        return serialize_value(instance.get_ref())


class _Supervisor:
    def __init__(self, programs: dict[str, Callable[[], object]]) -> None:
        self._programs = programs
        self._running: dict[int, str] = {}
        self._ending = False

    def run(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._end)
        for name in self._programs:
            self._start(name)
        while not self._ending:
            pid, status = os.wait()
            name = self._running.pop(pid, "")
            if name and not self._ending:
                code = os.waitstatus_to_exitcode(status)
                _log.warning("%s ended with %s and is started again", name, code)
                time.sleep(RESPAWN_S)
                self._start(name)
        self._finish()

    def _start(self, name: str) -> None:
        if not self._ending:
            self._running[fork(self._programs[name], with_parent=True, name=name)] = name

    def _end(self, *_: object) -> None:
        self._ending = True
        self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        for pid in self._running:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _finish(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            until = time.monotonic() + PATIENCE_S
            while self._running and time.monotonic() < until:
                try:
                    pid, _ = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                self._running.pop(pid, "")
                if not pid:
                    time.sleep(0.05)
            self._signal(number)


def main() -> None:
    parser = argparse.ArgumentParser("python -m orchestration.servers", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    asked = parser.parse_args()
    try:
        claim(Settings.from_env().data)
    except (AnotherRuns, SettingError, OSError) as error:
        print(f"error  {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    serve(asked.host, asked.port)
    sys.exit(0)


if __name__ == "__main__":
    main()
