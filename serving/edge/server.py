"""The nginx that runs the prefix: found, tried, asked to reload or reopen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from serving.edge.settings import EDGE_PREFIX, EdgeSettings

_TRIAL_S = 60
_USUAL = "/usr/sbin/nginx"  # not everybody's PATH has it


class EdgeError(RuntimeError):
    """The prefix cannot be run as asked; the message says why and what to do."""


def nginx(settings: EdgeSettings) -> str:
    """The program. Raises EdgeError: there is none."""
    found = shutil.which(str(settings.nginx or "nginx")) or (
        shutil.which(_USUAL) if not settings.nginx else None
    )
    if found is None:
        raise EdgeError(
            f"there is no {settings.nginx or 'nginx'}: apt-get install nginx-light, or set {EDGE_PREFIX}NGINX"
        )
    return found


def start_command(settings: EdgeSettings) -> list[str]:
    """What starts it, as a daemon; `-g 'daemon off;'` besides keeps it in the foreground."""
    return [
        nginx(settings),
        "-e",
        str(settings.folder / "log" / "error.log"),
        "-c",
        str(settings.configuration),
    ]


def trial(settings: EdgeSettings, configuration: Path) -> str | None:
    """What `nginx -t` has against a configuration; None: nothing."""
    command = [nginx(settings), "-t", "-q", "-e", "stderr", "-c", str(configuration)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TRIAL_S)
    except subprocess.TimeoutExpired:
        return f"nginx -t did not end within {_TRIAL_S} s"
    return (done.stderr.strip() or f"nginx -t ended with {done.returncode}") if done.returncode else None


def master(settings: EdgeSettings) -> int | None:
    """The process of the running nginx; None: it does not run."""
    try:
        pid = int(settings.pid_file.read_text().strip() or 0)
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid and is_nginx(pid) else None


def is_nginx(pid: int) -> bool:
    """Is the process one of nginx's, and alive? Numbers are used again, and the dead wait to be buried."""
    try:
        name, _, state = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return False
    return name == "nginx" and state.split()[0] not in ("Z", "X")


def reload(settings: EdgeSettings) -> bool:
    """Take up the configuration that is in place; False: nginx does not run. Raises EdgeError."""
    pid = master(settings)
    if pid is not None:
        tell([pid], signal.SIGHUP)
    return pid is not None


def tell(pids: Sequence[int], sign: signal.Signals) -> None:
    """Send a signal to processes of nginx; those that are gone are passed over. Raises EdgeError."""
    for pid in pids:
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            continue
        except PermissionError:
            raise EdgeError(
                f"nginx (process {pid}) belongs to somebody else: run this as root or as the user it runs as"
            ) from None
