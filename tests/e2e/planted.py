"""Secrets planted into an installation, and the search for them in whatever it has written or shows."""

from __future__ import annotations

import base64
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import psutil

# Unlike anything else, and with signs that URLs write otherwise.
MARTS_PASSWORD = "planted-marts-7f3a"
SMTP_PASSWORD = "planted-smtp-91bc"
HOOK_TOKEN = "planted-hook-token-5d2e"
HOOK_SECRET = "whsec_" + base64.b64encode(b"planted-hook-secret-4a7d").decode()
INDEX_KEY, INDEX_SECRET = "planted-index-key-c01d", "planted-index-secret-e88f"
WEBSUB_SECRET = "planted-websub-secret-2b6a"

ENVIRONMENT = {
    "PODCASTINDEX_KEY": INDEX_KEY,
    "PODCASTINDEX_SECRET": INDEX_SECRET,
    "EARSHOT_WEBSUB_SECRET": WEBSUB_SECRET,
}
FEED_SOURCES = """\
[podcastindex]
on = true
key_env = "PODCASTINDEX_KEY"
secret_env = "PODCASTINDEX_SECRET"

[websub]
callback = "https://earshot.example.com"
secret_env = "EARSHOT_WEBSUB_SECRET"
"""
ALL = (MARTS_PASSWORD, SMTP_PASSWORD, HOOK_TOKEN, HOOK_SECRET, INDEX_KEY, INDEX_SECRET, WEBSUB_SECRET)


def spellings(secret: str) -> Iterator[bytes]:
    """How a secret may be written."""
    raw = secret.encode()
    yield from (raw, quote(secret, safe="").encode(), raw.hex().encode())
    for shift in range(3):  # base64 of it, wherever it stands in what was encoded
        coded = base64.b64encode(bytes(shift) + raw)
        yield coded[4 if shift else 0 : -4]


def found_in_files(root: Path, secrets: Iterable[str], but: Iterable[str] = ()) -> list[tuple[str, str]]:
    """(file, secret) for each secret in a file below `root`, also in packed values of SQLite files."""
    wanted = {secret: tuple(spellings(secret)) for secret in secrets}
    hits = []
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        name = str(path.relative_to(root))
        if name in but:
            continue
        for content in _contents(path):
            hits += [
                (name, secret)
                for secret, written in wanted.items()
                if any(spelling in content for spelling in written)
            ]
    return sorted(set(hits))


def _contents(path: Path) -> Iterator[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # a temporary one of servers that go on working
        return
    yield content
    if content.startswith(b"SQLite format 3\0"):
        yield from _unpacked(path)


def _unpacked(path: Path) -> Iterator[bytes]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as con:
        for (table,) in con.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in con.execute(f'select * from "{table}"'):
                for value in row:
                    if isinstance(value, bytes):
                        try:
                            yield zlib.decompress(value)
                        except zlib.error:
                            continue
                    elif isinstance(value, str):
                        yield value.encode(errors="replace")


def found_in_arguments(pid: int, secrets: Iterable[str]) -> list[tuple[str, str]]:
    """(command, secret) for each secret among the arguments of a process or of what it started."""
    started = psutil.Process(pid)
    hits = []
    for process in [started, *started.children(recursive=True)]:
        try:
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:
            continue
        hits += [(os.fsdecode(command), secret) for secret in secrets if secret.encode() in command]
    return hits
