"""What became of one request to an endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The closed set of `attempts.outcome`."""

    SENT = "sent"  # 2xx, the only success
    REDIRECTED = "redirected"  # 3xx: never followed
    REFUSED = "refused"  # 4xx, but for the next two
    GONE = "gone"  # 410: the endpoint wants no more
    BUSY = "busy"  # 429, 503
    SERVER_ERROR = "server_error"  # other 5xx
    UNEXPECTED_STATUS = "unexpected_status"  # 101, 600 …
    TIMEOUT = "timeout"  # no connection, or no head of an answer in time
    DNS = "dns"  # the name does not resolve
    CONNECT = "connect"
    TLS = "tls"  # among others: a certificate that is not valid, or not of this name
    PRIVATE_ADDRESS = "private_address"  # the address is not a public one
    BROKEN_ANSWER = "broken_answer"  # not HTTP, or the connection broke off before its head was complete
    INTERRUPTED = "interrupted"  # the sender died over it, or lost its lease: nobody knows what came of it
    NOT_SENT = "not_sent"  # no request could be made: of this URL, or of this message


@dataclass(frozen=True)
class Result:
    """How one request ended."""

    outcome: Outcome
    status: int | None = None  # HTTP; None: no head of an answer came
    ms: int = 0  # from the look-up of the name to the end of what was read
    detail: str = ""  # one printable line for people
    answer: str = ""  # the first bytes of the answer's body, printable
    retry_after_s: int | None = None  # of a failure; at most a day

    @property
    def is_success(self) -> bool:
        return self.outcome is Outcome.SENT

    @property
    def is_failure(self) -> bool:
        """Counts against the endpoint: what was interrupted, or could not be written, is our own doing."""
        return self.outcome not in (Outcome.SENT, Outcome.INTERRUPTED, Outcome.NOT_SENT)


def printable(text: str, most: int) -> str:
    """At most `most` characters of what a stranger wrote, fit for a terminal and for any database.

    White space becomes spaces; controls, directions, lone surrogates and the like become U+FFFD.
    """
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text[:most]
    )
