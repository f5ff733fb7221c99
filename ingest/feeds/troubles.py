"""What went wrong with a request below HTTP, or in it: the reason of an exception."""

from __future__ import annotations

import errno
import os
import socket

import aiohttp

from ingest.feeds.guard import PrivateAddress
from ingest.feeds.reasons import Reason

NO_ANSWER = (Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.TIMEOUT)  # trouble of the host, not of one URL
# What a request over a GuardedConnector raises for what a server, a name or a URL does.
ERRORS = (TimeoutError, aiohttp.ClientError, OSError, ValueError)


def judged(
    error: Exception, host: str, has_answered: bool, connect_s: float, total_s: float
) -> tuple[Reason, str]:
    """(reason, one line for people) of one of `ERRORS`; `has_answered`: the head had come."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PrivateAddress):
            # Not which: a tenant reads this, and would learn what a name means within our network.
            return Reason.PRIVATE_ADDRESS, f"{host}: not a public address"
        cause = cause.__cause__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return Reason.TIMEOUT, f"no connection within {connect_s:g} s"
        case TimeoutError():
            what = "the body has not ended" if has_answered else "no answer"
            return Reason.TIMEOUT, f"{what} within {total_s:g} s"
        case aiohttp.ClientConnectorDNSError():
            return Reason.DNS, _unresolved(host, error.os_error)
        case aiohttp.ClientSSLError():
            return Reason.TLS, _text(error)
        case aiohttp.ClientConnectorError():
            return Reason.CONNECT, _unconnected(host, error)
        case aiohttp.ClientResponseError():  # its text has the URL, which may hold a token
            return Reason.BROKEN_ANSWER, " ".join(error.message.split())[:300] or "no valid HTTP"
        case aiohttp.InvalidURL():
            return Reason.BAD_URL, _text(error)
        case _:
            return Reason.BROKEN_ANSWER, _text(error)


def _unresolved(host: str, error: OSError) -> str:
    if not isinstance(error, socket.gaierror):
        return f"the name {host} does not resolve: {_text(error)}"
    if error.errno == socket.EAI_AGAIN:
        return f"the name {host} cannot be looked up at present: no name server answers"
    return f"the name {host} does not resolve"


def _unconnected(host: str, error: aiohttp.ClientConnectorError) -> str:
    """The system's text holds numbers and addresses that tell people nothing; its kind says it."""
    what = error.os_error
    if isinstance(what, ConnectionRefusedError):
        return f"connection refused: nothing listens at {host}, port {error.port}"
    if what.errno is not None and what.errno in errno.errorcode:
        return f"no connection to {host}, port {error.port}: {os.strerror(what.errno).lower()}"
    return _text(what)


def _text(error: BaseException) -> str:
    """One line of an error, not too long; servers have their say in it."""
    return " ".join((str(error) or type(error).__name__).split())[:300]
