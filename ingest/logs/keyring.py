"""The secrets of the listener hash: one a key epoch, made on first use, destroyed on time, never made twice.

    keys/epoch-690.key         64 hex digits, mode 0600
    keys/epoch-690.print       what it is known by: one that is lost is told, and no other put in its place
    keys/epoch-690.destroyed   in its place for ever: when it was made and destroyed, and by whom

A secret is needed by the requests of its own 30 days, by those of the next 30 (the overlap, in which both
hashes are written), and by their late files. After that it is destroyed: nobody can work out any more which
address a key of that time was made of, and a line that comes still later is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.durable import locked, sync, write_atomically
from ingest.logs import key_print, keys_command
from ingest.owner import give_open

if TYPE_CHECKING:
    from ingest.settings import Settings

EPOCH_DAYS = 30
DAY_US = 86_400_000_000
EPOCH_US = EPOCH_DAYS * DAY_US
# The secret of lists' `hash:` is that of the epoch 1970 began with, in which there is no request: it stays.
LISTS_EPOCH = 0
COMMAND_S = 20.0
GONE = 3  # how a command tells that a secret was destroyed
_SECRET = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"epoch-(-?[0-9]+)\.(key|destroyed)")


class KeyRingError(ValueError):
    """A secret cannot be had; the message says why and what to do, and never shows it."""


class SecretDestroyed(KeyRingError):
    """The secret of this epoch was destroyed and is not made again."""


@dataclass(frozen=True)
class KeyEpoch:
    """What is known of an epoch's secret; instants are epoch microseconds."""

    epoch: int
    made_us: int | None  # None: by a command, which does not tell
    destroyed_us: int | None = None
    destroyed_by: str | None = None

    @property
    def first_us(self) -> int:
        return self.epoch * EPOCH_US

    def due_us(self, late_days: int) -> int:
        """When nothing needs it any more: after its epoch, the overlap, and the days of late files.

        One that was made later than its time, for old logs taken in at last, is kept for those days as well.
        """
        return due_us(self.epoch, self.made_us, late_days)


def due_us(epoch: int, made_us: int | None, late_days: int) -> int:
    """When the secret of `epoch` is to be destroyed."""
    needed_until = (epoch + 2) * EPOCH_US
    return max(needed_until, made_us or 0) + late_days * DAY_US


class KeyRing:
    """One random secret a key epoch: in `folder` (files 0600), by a command, or only in memory."""

    def __init__(self, folder: Path | None, command: str | None = None) -> None:
        self._folder, self._command = folder, command
        self._secrets: dict[int, str] = {}

    @classmethod
    def of(cls, settings: Settings) -> KeyRing:
        """That of an installation."""
        return cls(settings.keys_dir, settings.keys_command)

    @classmethod
    def ephemeral(cls) -> KeyRing:
        """One secret that dies with this process: nothing rotates, no listener is cut at an epoch's end."""
        return cls(None)

    def has(self, epoch: int) -> bool:
        """Is there a secret of this epoch already? A command has all that were not destroyed."""
        if self._folder is None:
            return True
        if self.is_destroyed(epoch):
            return False
        if self._command is None:
            return self._path(epoch).exists()
        try:
            self.secret(epoch)
        except SecretDestroyed:
            return False
        return True

    def is_destroyed(self, epoch: int) -> bool:
        """Was it destroyed here? Then it is never made again."""
        return self._folder is not None and self._tombstone(epoch).exists()

    def can_key(self, epoch: int) -> bool:
        """Can requests of this epoch get their keys? They carry that of the epoch before, too."""
        if self.is_destroyed(epoch) or self.is_destroyed(epoch - 1):
            return False
        return self._command is None or (self.has(epoch) and self.has(epoch - 1))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No secret is made or destroyed meanwhile."""
        with contextlib.ExitStack() as still:
            if self._folder is not None and self._folder.is_dir():
                still.enter_context(locked(_lock(self._folder)))
            yield

    def secret(self, epoch: int) -> str:
        """The epoch's secret, 64 hex digits; made on first use, the same for every process.

        Raises KeyRingError: damaged, readable by others, not answered; SecretDestroyed.
        """
        if self._folder is None:
            return self._secrets.setdefault(0, secrets.token_hex(32))
        if epoch not in self._secrets:
            if self.is_destroyed(epoch):
                raise SecretDestroyed(_told_destroyed(epoch))
            self._secrets[epoch] = self._asked(epoch) if self._command else self._on_disk(self._folder, epoch)
        return self._secrets[epoch]

    def epochs(self) -> list[KeyEpoch]:
        """All that there are or were, in order. Of a command only those that were destroyed are known."""
        found: dict[int, KeyEpoch] = {}
        for path in self._folder.iterdir() if self._folder is not None and self._folder.is_dir() else ():
            match = _FILE.fullmatch(path.name)
            if match is None:
                continue
            epoch = int(match[1])
            if match[2] == "destroyed":
                found[epoch] = _read_tombstone(path, epoch)
            elif epoch not in found:
                with contextlib.suppress(FileNotFoundError):
                    found[epoch] = KeyEpoch(epoch, path.stat().st_mtime_ns // 1000)
        return [found[epoch] for epoch in sorted(found)]

    def destroy(self, epoch: int, now_us: int, by: str) -> bool:
        """Destroy an epoch's secret for good; False: it was already. Raises OSError; a rerun completes it.

        First the tombstone, so that whatever happens then nobody makes another; then its bytes are
        overwritten, its name removed, and both flushed to disk.
        """
        if self._folder is None:
            raise ValueError("what is only in memory dies with its process")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(_lock(self._folder)):
            self._secrets.pop(epoch, None)
            path, is_new = self._path(epoch), not self.is_destroyed(epoch)
            if is_new:
                made_us = path.stat().st_mtime_ns // 1000 if path.exists() else None
                bury(self._folder, KeyEpoch(epoch, made_us, now_us, by))
            key_print.path(self._folder, epoch).unlink(missing_ok=True)
            if path.exists():
                _overwrite(path)
                path.unlink()
            sync(self._folder)
        return is_new

    def is_half_destroyed(self, epoch: int) -> bool:
        """Is its secret there beside its tombstone: left by a killed run, or put back from a backup?"""
        return self.is_destroyed(epoch) and self._path(epoch).exists()

    def _path(self, epoch: int) -> Path:
        assert self._folder is not None
        return self._folder / f"epoch-{epoch}.key"

    def _tombstone(self, epoch: int) -> Path:
        assert self._folder is not None
        return tombstone(self._folder, epoch)

    def _on_disk(self, folder: Path, epoch: int) -> str:
        path = self._path(epoch)
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(_lock(folder)):
                if self.is_destroyed(epoch):
                    raise SecretDestroyed(_told_destroyed(epoch))
                if not path.exists():
                    if key_print.path(folder, epoch).exists():
                        raise KeyRingError(
                            f"the key file {path.name} is gone, and listeners were keyed with it: another "
                            "would make them others, who count once more, so nothing is keyed. "
                            + self._put_back(epoch)
                        )
                    _make(path, secrets.token_hex(32))
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise KeyRingError(
                f"the key file {path.name} can be read by others than its owner (mode {mode:04o}): nothing "
                f"is keyed with it. Run `chmod 600 {path}`, and find out who may have read it"
            )
        secret = path.read_text()
        if not _SECRET.fullmatch(secret):
            raise KeyRingError(
                f"the key file {path.name} is damaged: listener keys of that epoch cannot be made. Restore "
                "it from a backup"
            )
        if not self._is_as_before(folder, epoch, secret):
            raise KeyRingError(
                f"the key file {path.name} holds another secret than the one listeners were keyed with, so "
                "nothing is keyed with it. " + self._put_back(epoch)
            )
        return secret

    def _is_as_before(self, folder: Path, epoch: int, secret: str) -> bool:
        """One that was never noted is noted now, where that can be written: who only reads needs no note."""
        if key_print.path(folder, epoch).exists():
            return key_print.is_as_before(folder, epoch, secret)
        with contextlib.suppress(OSError), locked(_lock(folder)):
            return self.is_destroyed(epoch) or key_print.is_as_before(folder, epoch, secret)
        return True

    def _put_back(self, epoch: int) -> str:
        assert self._folder is not None
        return (
            f"Put {self._path(epoch).name} back from a backup (`earshot restore FROM --to ELSEWHERE "
            "--files-only` lays it out); if no backup has it, remove "
            f"{key_print.path(self._folder, epoch)}, and those listeners count once more"
        )

    def lost(self) -> list[int]:
        """Epochs whose key file is gone, though it was used and not destroyed."""
        if self._folder is None or self._command is not None or not self._folder.is_dir():
            return []
        noted = [key_print.epoch_of(path.name) for path in self._folder.iterdir()]
        return sorted(
            epoch
            for epoch in noted
            if epoch is not None and not (self._path(epoch).exists() or self.is_destroyed(epoch))
        )

    def _asked(self, epoch: int) -> str:
        """What the command prints. Neither it nor its errors are shown: they may hold the secret."""
        assert self._command is not None and self._folder is not None
        told = f"EARSHOT_KEYS_COMMAND, asked for epoch {epoch},"
        try:
            code, printed = keys_command.ask(self._command, epoch, COMMAND_S)
        except keys_command.CommandFailed as error:
            raise KeyRingError(f"{told} {error}") from None
        if code == GONE:
            raise SecretDestroyed(_told_destroyed(epoch))
        if code:
            raise KeyRingError(f"{told} failed with exit code {code}: run it by hand")
        secret = printed.strip().decode("ascii", "replace")
        if not _SECRET.fullmatch(secret) or len(printed) > 80:
            raise KeyRingError(f"{told} printed something else than 64 lower-case hex digits")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(_lock(self._folder)):
            if not key_print.is_as_before(self._folder, epoch, secret):
                raise KeyRingError(
                    f"{told} printed another secret than before: nothing is keyed with it, or listeners "
                    "would become others. See that it prints the same each time, or, if that one is gone, "
                    f"remove {key_print.path(self._folder, epoch)}"
                )
        return secret


def _lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def tombstone(folder: Path, epoch: int) -> Path:
    """The file that stands for a secret that was destroyed."""
    return folder / f"epoch-{epoch}.destroyed"


def bury(folder: Path, of: KeyEpoch) -> None:
    """Write the tombstone of a secret, whole or not at all, mode 0600."""
    told = {"epoch": of.epoch, "made_at": _iso(of.made_us), "destroyed_at": _iso(of.destroyed_us)}
    path = tombstone(folder, of.epoch)
    write_atomically(path, json.dumps(told | {"by": of.destroyed_by}).encode())
    path.chmod(0o600)


def key_epochs(days: Collection[date]) -> set[int]:
    """The epochs whose secrets key the requests of these days (UTC)."""
    epochs = {(day - date(1970, 1, 1)).days // EPOCH_DAYS for day in days}
    return epochs | {epoch - 1 for epoch in epochs}


def epoch_of_file(name: str) -> int | None:
    """The epoch whose secret a file of the keys' folder holds; None: no secret."""
    match = _FILE.fullmatch(name)
    return int(match[1]) if match and match[2] == "key" else None


def destroy_due(keys: KeyRing, now_us: int, late_days: int, by: str) -> Iterator[KeyEpoch]:
    """Destroy every secret whose time has come, one after the other; each as it was before.

    Those that a killed run had begun with are finished. For holders of the lake's intake lock: no intake may
    be keying with it. Raises OSError; a rerun completes it.
    """
    for each in keys.epochs():
        if each.epoch == LISTS_EPOCH:
            continue
        if each.destroyed_us is not None:
            if keys.is_half_destroyed(each.epoch):
                keys.destroy(each.epoch, now_us, by)
                yield each
        elif now_us >= each.due_us(late_days):
            keys.destroy(each.epoch, now_us, by)
            yield each


def _make(path: Path, secret: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(secret)
            out.flush()
            os.fsync(out.fileno())
            give_open(out.fileno(), path.parent.stat())
        # A link fails where the name exists: whoever comes second reads the first one's secret.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _overwrite(path: Path) -> None:
    """All that can be done from here: a copying file system or a drive's spare blocks may keep the bytes."""
    size = path.stat().st_size
    with path.open("r+b") as out:
        for filling in (os.urandom(size), bytes(size)):
            out.seek(0)
            out.write(filling)
            out.flush()
            os.fsync(out.fileno())


def _read_tombstone(path: Path, epoch: int) -> KeyEpoch:
    """Whatever it says, it is one."""
    try:
        told = json.loads(path.read_bytes())
        made, gone = _us(told.get("made_at")), _us(told.get("destroyed_at"))
        return KeyEpoch(epoch, made, gone if gone is not None else 0, str(told.get("by")))
    except (ValueError, AttributeError, TypeError, OSError):
        return KeyEpoch(epoch, None, 0, None)


def _told_destroyed(epoch: int) -> str:
    return f"the secret of key epoch {epoch} was destroyed: nothing of its time can be keyed any more"


def _iso(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us // 1_000_000, UTC).isoformat()


def _us(text: object) -> int | None:
    return None if text is None else int(datetime.fromisoformat(str(text)).timestamp()) * 1_000_000
