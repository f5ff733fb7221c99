"""`earshot serve`: the API and the pages, until Ctrl-C."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from typing import Annotated

import typer
from rich.console import Console

_METRICS_DIR = "api-metrics"


def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes; one a core")] = 2,
) -> None:
    """Serve the API and the pages on what is published in this data folder (docs/api.md)."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    from earshot.show import say
    from ingest import own_log
    from registry.database import connected
    from serving.api.metrics_folder import FOLDER
    from serving.api.settings import ApiSettings
    from serving.api.signing import load_secret
    from serving.versions import current_version

    screen = Console(stderr=True)
    settings = ApiSettings.from_env()
    platform = settings.platform
    _check_free(host, port)  # before the folder of metrics, which may be a running server's, is emptied
    # Once, here, with a plain message when it cannot be: workers would each end with a stack trace.
    with connected(platform.registry, platform.data):
        load_secret(settings.secret, platform.data)
    if current_version(platform.published_dir) is None:
        say(screen, "note", "nothing is published yet: figures are answered 503 until there is", "yellow")
    folder = platform.data / _METRICS_DIR
    shutil.rmtree(folder, ignore_errors=True)  # counts begin with the server
    folder.mkdir(parents=True)
    os.environ[FOLDER] = str(folder.resolve())
    server = Granian(
        "serving.api.app:from_environment",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        factory=True,
        websockets=False,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        log_dictconfig={"formatters": {"generic": {"()": own_log.form(platform)}, "access": {}}},
    )
    shown = f"[{host}]" if ":" in host else host
    say(screen, "serving", f"http://{shown}:{port} (API: /v1/docs), {workers} workers, until Ctrl-C", "green")
    server.serve()


def _check_free(host: str, port: int) -> None:
    """Raises BadParameter: the port cannot be listened on.

    Workers share a port by SO_REUSEPORT, so a second server would be let in, and get every other request.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise typer.BadParameter(f"{host} is no address: {error.strerror}", param_hint="--host") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that ended just now is none
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"port {port} of {host} is taken: end what listens there, or name another port"
                raise typer.BadParameter(reason, param_hint="--port") from None
            if error.errno == errno.EACCES:
                reason = f"port {port} is not for this user: name one above 1023"
                raise typer.BadParameter(reason, param_hint="--port") from None
            reason = f"{host} cannot be listened on: {error.strerror}"
            raise typer.BadParameter(reason, param_hint="--host") from None
