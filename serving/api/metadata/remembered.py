"""Answers from registry and lake, kept until either has changed: a look is a tenth of making them anew."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.responses import Response

from serving.api.conditional import is_known, not_modified
from serving.metadata.catalogue import Catalogue

if TYPE_CHECKING:
    from serving.api.visit import Visit

_OVERHEAD = 2000  # bytes of an entry beside its body, about
_LARGEST = 8  # no answer takes more than this part
# Clocks of file systems tick some times a second: what changed so shortly before may change unseen.
_SETTLED_NS = 1_000_000_000

Stamps = tuple[tuple[Path, int], ...]  # files and folders with when they changed last


@dataclass(frozen=True, slots=True)
class Made:
    """An answer with the keys of all podcasts whose records it was made of."""

    response: Response
    podcast_keys: Collection[int]
    is_found: bool = False  # the index had a part in it


@dataclass(frozen=True, slots=True)
class _Kept:
    mark: int
    stamps: Stamps
    body: bytes
    headers: dict[str, str]


class Remembered:
    """Safe to share between threads; up to so many bytes, the least used are dropped first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._bytes = limit_bytes, 0
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    async def answer(self, ask: Visit, request: Request, make: Callable[[], Made]) -> Response:
        """As `make` answers, which depends on registry, lake and index, the caller and the question alone.

        `make` runs in a thread, as it may wait for a file; so does the look whether anything has changed,
        where the registry is no file.
        """
        core, loop = ask.core, asyncio.get_running_loop()
        if core.engine.dialect.name != "sqlite":
            return await loop.run_in_executor(core.pool, self._answer, ask, request, make)
        mark = core.catalogue.visible.mark()
        if (kept := self._known(ask, request, mark)) is not None:
            return kept
        return await loop.run_in_executor(core.pool, self._anew, ask, request, mark, make)

    def _answer(self, ask: Visit, request: Request, make: Callable[[], Made]) -> Response:
        mark = ask.core.catalogue.visible.mark()
        return self._known(ask, request, mark) or self._anew(ask, request, mark, make)

    def _known(self, ask: Visit, request: Request, mark: int) -> Response | None:
        question = _question(ask, request)
        with self._lock:
            kept = self._kept.get(question)
            if kept is not None:
                self._kept.move_to_end(question)
        if kept is None or kept.mark != mark or not _is_as_it_was(kept.stamps):
            return None
        if is_known(request, kept.headers["etag"]):
            return not_modified(kept.headers)
        return Response(kept.body, 200, kept.headers)

    def _anew(self, ask: Visit, request: Request, mark: int, make: Callable[[], Made]) -> Response:
        began, made = time.time_ns(), make()
        if made.response.status_code == 200:
            stamps = _stamps(ask.core.catalogue, made)
            if all(changed_ns < began - _SETTLED_NS for _, changed_ns in stamps):
                response = made.response
                kept = _Kept(mark, stamps, bytes(response.body), dict(response.headers))
                self._put(_question(ask, request), kept)
        return made.response

    def _put(self, question: Hashable, kept: _Kept) -> None:
        if len(kept.body) + _OVERHEAD > self._limit // _LARGEST:
            return
        with self._lock:
            if (former := self._kept.pop(question, None)) is not None:
                self._bytes -= len(former.body) + _OVERHEAD
            self._kept[question] = kept
            self._bytes += len(kept.body) + _OVERHEAD
            while self._bytes > self._limit:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped.body) + _OVERHEAD


def _question(ask: Visit, request: Request) -> Hashable:
    caller = ask.caller
    who = caller.tenant, caller.scopes, caller.only_show, ask.access.revision
    return (*who, request.scope["path"], ask.query, ask.accepted)


def _stamps(catalogue: Catalogue, made: Made) -> Stamps:
    paths = catalogue.latest.folders(made.podcast_keys)
    if made.is_found:
        paths += catalogue.search.paths
    return tuple((path, _changed_ns(path)) for path in paths)


def _is_as_it_was(stamps: Stamps) -> bool:
    return all(_changed_ns(path) == changed_ns for path, changed_ns in stamps)


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
