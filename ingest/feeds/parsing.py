"""Parsing beside the fetching: processes of their own, each document with a time limit.

A document that kills or stalls its parser costs one poll of one feed; the process is replaced.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import TimeoutError as TookTooLong
from types import TracebackType

from pebble import ProcessExpired, ProcessPool

from ingest.feeds.parse import parse_feed
from ingest.feeds.parsed import Known, ParsedFeed
from ingest.feeds.reasons import FeedUnreadable, Reason

# feedparser reads about a hundred items in 0.1 to 0.3 s, and ten thousand are let through.
DOCUMENT_S = 60.0
# A process is replaced after so many documents: what feedparser keeps is given back.
MOST_DOCUMENTS = 5_000
# Documents waiting for a process: enough that none is idle, few enough that 50 MB each fit in memory.
WAITING_PER_PROCESS = 4


class Parsers:
    """A pool of parser processes, used by one event loop: `async with Parsers(2) as parsers`."""

    def __init__(self, processes: int, document_s: float = DOCUMENT_S) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["ingest.feeds.parse"])
        self._pool = ProcessPool(processes, max_tasks=MOST_DOCUMENTS, context=context)
        self._document_s = document_s
        self._places = asyncio.Semaphore(processes * WAITING_PER_PROCESS)

    async def __aenter__(self) -> Parsers:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(self._pool.join)

    async def parse(
        self, body: bytes, url: str, content_type: str | None, known: Known | None, audit: bool, now_us: int
    ) -> ParsedFeed:
        """What `parse_feed` says of it. Raises FeedUnreadable."""
        async with self._places:
            future = self._pool.schedule(
                parse_feed, args=(body, url, content_type, known, audit, now_us), timeout=self._document_s
            )
            try:
                parsed: ParsedFeed = await asyncio.wrap_future(future)
            except TookTooLong:
                raise FeedUnreadable(
                    Reason.PARSER_FAILED, f"takes more than {self._document_s:g} s"
                ) from None
            except ProcessExpired as error:
                raise FeedUnreadable(
                    Reason.PARSER_FAILED, f"its parser died (exit code {error.exitcode})"
                ) from None
            except FeedUnreadable:
                raise
            except Exception as error:  # whatever a document does to us costs that feed alone
                raise FeedUnreadable(Reason.PARSER_FAILED, f"{type(error).__name__}: {error}"[:300]) from None
            return parsed
