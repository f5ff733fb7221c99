"""Why a poll did not bring a new good record. Machine-readable; `detail` beside it is for people."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The closed set of `STATE.reason`."""

    # the way there
    BAD_URL = "bad_url"  # not http(s), no host, credentials in it
    DNS = "dns"  # the name does not resolve
    PRIVATE_ADDRESS = "private_address"  # the address is not a public one
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    BROKEN_ANSWER = "broken_answer"  # not HTTP, or the connection broke off
    REDIRECT_LOOP = "redirect_loop"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    # the answer
    GONE = "gone"  # 410
    NOT_FOUND = "not_found"  # 404
    FORBIDDEN = "forbidden"  # 401, 403, 451
    BUSY = "busy"  # 429, 503
    SERVER_ERROR = "server_error"  # other 5xx
    UNEXPECTED_STATUS = "unexpected_status"
    TOO_LARGE = "too_large"  # more than the cap, packed or unpacked
    BOMB = "bomb"  # unpacks to improbably many times its size
    BAD_COMPRESSION = "bad_compression"
    # the document
    EMPTY = "empty"
    HTML_PAGE = "html_page"
    NOT_A_FEED = "not_a_feed"
    TRUNCATED = "truncated"  # broke off inside the document: the last good record stays
    ENTITIES = "entities"  # declares entities: never expanded
    BAD_ENCODING = "bad_encoding"
    TOO_MANY_ITEMS = "too_many_items"
    # the content
    FLAPPING = "flapping"  # alternates between contents: damped until it settles
    # ours
    PARSER_FAILED = "parser_failed"  # the parser's worker died or took too long


class FeedUnreadable(Exception):
    """A document that cannot be used as a feed; the last good record stays."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
