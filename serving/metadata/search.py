"""Search by title and author, and episodes by guid or enclosure: the index, read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import orjson

from serving.metadata.index import BUSY_S, hash_of, spaced

MAX_CHARS, MAX_WORDS = 200, 12
_TITLE_WEIGHT, _AUTHOR_WEIGHT = 4.0, 1.0
_MOST_FOUND = 1_000  # episodes of one guid: `1` is in many feeds


class NoIndex(LookupError):
    """There is no index yet; the message says what makes it."""


class BadQuery(ValueError):
    """Nothing can be searched for by this; the message is for people."""


@dataclass(frozen=True)
class Hit:
    """A podcast that matches; a lower score is a better match."""

    podcast_key: int
    score: float


class Search:
    """The index at `path`; may be shared by threads, each with its own connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_thread = threading.local()

    @property
    def paths(self) -> list[Path]:
        """The files that an update of the index changes."""
        path = self._path.resolve()  # SQLite writes beside the file, not beside the link
        return [self._path, path, path.with_name(f"{path.name}-wal")]

    def podcasts(
        self, text: str, podcast_keys: Collection[int] | None, limit: int, offset: int = 0
    ) -> list[Hit]:
        """Those of these podcasts (None: all) whose title or author has every word of `text`, the last one
        perhaps only begun; the best first. Raises BadQuery and NoIndex.
        """
        match = match_of(text)
        # The + keeps SQLite from asking the index for each key in turn.
        among = "" if podcast_keys is None else "and +rowid in (select value from json_each(?))"
        keys = [] if podcast_keys is None else [orjson.dumps(list(podcast_keys)).decode()]
        rows = self._connection().execute(
            f"""select rowid, bm25(names, {_TITLE_WEIGHT}, {_AUTHOR_WEIGHT}) as score from names
            where names match ? {among} order by score, rowid limit ? offset ?""",
            [match, *keys, limit, offset],
        )
        return [Hit(*row) for row in rows.fetchall()]

    def episodes(self, text: str | None = None, episode_key: int | None = None) -> list[tuple[int, int]]:
        """(podcast_key, episode_key) of what may have this guid or canonical URL, or this key: to be compared
        with the records. Raises NoIndex.
        """
        wanted = [hash_of(text)] if text is not None else []
        wanted += [episode_key] if episode_key is not None else []
        rows = self._connection().execute(
            "select distinct podcast_key, episode_key from finders where hash in "
            "(select value from json_each(?)) order by podcast_key, episode_key limit ?",
            [orjson.dumps(wanted).decode(), _MOST_FOUND],
        )
        return rows.fetchall()

    def _connection(self) -> sqlite3.Connection:
        """This thread's; a new one where another file has taken the index's place."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            raise NoIndex(
                "the search index is not made yet: `earshot sweep` makes it, `earshot run` within ten minutes"
            ) from None
        identity = found.st_dev, found.st_ino
        if getattr(self._of_thread, "identity", None) != identity:
            if (former := getattr(self._of_thread, "connection", None)) is not None:
                former.close()
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S
            )
            self._of_thread.connection, self._of_thread.identity = connection, identity
        kept: sqlite3.Connection = self._of_thread.connection
        return kept


def match_of(text: str) -> str:
    """An FTS5 expression of the words in `text`, each quoted, so that none of its signs means anything.

    Raises BadQuery.
    """
    if len(text) > MAX_CHARS:
        raise BadQuery(f"longer than {MAX_CHARS} characters")
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise BadQuery("with characters that are none (lone surrogates)")
    words = [word for word in text.replace("\0", " ").split() if any(map(str.isalnum, word))]
    if not words:
        raise BadQuery("name a word of the title or author: letters or digits")
    if len(words) > MAX_WORDS:
        raise BadQuery(f"more than {MAX_WORDS} words")
    quoted = ['"{}"'.format(spaced(word).replace('"', '""')) for word in words]
    return " ".join(quoted) if text[-1:].isspace() else " ".join(quoted) + "*"
