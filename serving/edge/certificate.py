"""Is the certificate of the prefix for its hosts, long enough, and the one nginx serves?"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from pathlib import Path

from ingest.logs.prefixes import own_prefix_hosts
from serving.edge.settings import EdgeSettings, listed

LEAST_DAYS = 14
_PATIENCE_S = 5.0
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}


def faults(settings: EdgeSettings, is_running: bool) -> tuple[str, list[str]]:
    """(when it ends, what is wrong with it and what to do). is_running: ask nginx which one it serves."""
    path = settings.certificate
    assert path is not None
    try:
        ends = _asked(path, "-enddate").partition("=")[2].strip()
        if not ends:
            return "cannot be read", [f"{path} is no certificate: set EARSHOT_EDGE_CERTIFICATE to its PEM"]
        found = []
        if "will expire" in _asked(path, "-checkend", str(LEAST_DAYS * 86_400)):
            found.append(f"ends within {LEAST_DAYS} days: renew it, then earshot edge reload")
        names = own_prefix_hosts(settings.platform)
        others = [name for name in names if "does NOT match" in _asked(path, "-checkhost", name)]
        if others:
            found.append(f"it is not for {', '.join(others)}: apps refuse it")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(path), [f"cannot be looked into: {error}"]
    if is_running and (served := _served(settings)) and served != _first(path):
        found.append("nginx serves another one: run earshot edge reload")
    return ends, found


def _asked(path: Path, *questions: str) -> str:
    command = ["openssl", "x509", "-noout", "-in", str(path), *questions]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30).stdout


def _served(settings: EdgeSettings) -> bytes | None:
    """What nginx shows who connects, DER; None: it does not say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # looked at, not trusted
    address, _, port = listed(settings.listen_tls)[0].rpartition(":")
    where = (_ANY.get(address, address.strip("[]")), int(port))
    with (
        contextlib.suppress(OSError),
        socket.create_connection(where, timeout=_PATIENCE_S) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.getpeercert(binary_form=True)
    return None


def _first(path: Path) -> bytes:
    """The first certificate of a chain, DER."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = path.read_text(errors="replace").partition(begin)[2].partition(end)[0]
    return ssl.PEM_cert_to_DER_cert(f"{begin}{text}{end}\n")
