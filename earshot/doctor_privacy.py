"""What `earshot doctor` says of privacy: keys past their time or readable by others, raw logs that stay."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from earshot.finding import Finding, Verdict
from ingest.settings import Settings

_OLD_DAYS = 30  # landing files older than this are worth a word where nothing removes them
_LOOKED_AT = 20_000  # files: a look, no census


def privacy(settings: Settings) -> Iterator[Finding]:
    """Look at the keys of the listener hash, at erasures that wait, and at what names addresses."""
    yield _keys(settings)
    yield from _lost(settings)
    yield from _readable(settings)
    yield _erasures(settings)
    yield _landing(settings)


def _keys(settings: Settings) -> Finding:
    from ingest.clock import doubt
    from ingest.lake import Lake, utc_now_us
    from ingest.logs.keyring import DAY_US, LISTS_EPOCH, KeyRing

    what, now_us = "listener keys", utc_now_us()
    epochs = [each for each in KeyRing.of(settings).epochs() if each.epoch != LISTS_EPOCH]
    living = [each for each in epochs if each.destroyed_us is None]
    told = f"{len(living):,} of key epochs, {len(epochs) - len(living):,} destroyed"
    if settings.keys_command:
        told = f"by EARSHOT_KEYS_COMMAND; {len(epochs) - len(living):,} destroyed here"
    spent = [each.epoch for each in living if now_us >= each.due_us(settings.late_days) + 2 * DAY_US]
    if spent:
        named = ", ".join(map(str, spent))
        advice = "start `earshot run`, whose nightly maintenance does it, or run `earshot privacy rotate`"
        if settings.lake_dir.is_dir():
            advice = doubt(settings, Lake(settings.lake_dir), now_us) or advice
        return Finding(
            what, f"{told}; those of epochs {named} should be destroyed by now", Verdict.WRONG, advice
        )
    return Finding(what, told)


def _lost(settings: Settings) -> Iterator[Finding]:
    from ingest.logs.key_print import path
    from ingest.logs.keyring import KeyRing

    for epoch in KeyRing.of(settings).lost():
        advice = (
            "put it back from a backup (`earshot restore FROM --to ELSEWHERE --files-only`); if none "
            f"has it, remove {path(settings.keys_dir, epoch)}, and listeners of that time count once more"
        )
        found = "is gone, and was not destroyed by us: nothing of its time is taken in"
        yield Finding(f"key file epoch-{epoch}.key", found, Verdict.WRONG, advice)


def _readable(settings: Settings) -> Iterator[Finding]:
    """Key files that others can read: nothing is keyed with them."""
    for path in sorted(settings.keys_dir.glob("*.key")) if settings.keys_dir.is_dir() else ():
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            found = f"can be read by others than its owner (mode {mode:04o}): nothing is taken in with it"
            advice = f"chmod 600 {path}; find out who may have read it"
            yield Finding(f"key file {path.name}", found, Verdict.WRONG, advice)


def _erasures(settings: Settings) -> Finding:
    from ingest.erasing import pending
    from ingest.suppression import Suppressions

    what = "erasures"
    if pending(settings):
        found = "one was begun and is not finished"
        return Finding(what, found, Verdict.WRONG, "run `earshot privacy apply`: it goes on where it stopped")
    return Finding(what, f"{Suppressions.load(settings.lake_dir).erasures:,} made, all finished")


def _landing(settings: Settings) -> Finding:
    what = "raw logs"
    if settings.keep_landing_days:
        return Finding(what, f"removed {settings.keep_landing_days} days after they were taken in")
    before = time.time() - _OLD_DAYS * 86_400
    old = sum(1 for path in _files(settings.landing_dir) if path.stat().st_mtime < before)
    if not old:
        return Finding(what, "none is old")
    found = f"{old:,} landing files are older than {_OLD_DAYS} days; they name addresses"
    advice = "set EARSHOT_KEEP_LANDING_DAYS, or remove them by your own policy (docs/privacy.md)"
    return Finding(what, found, Verdict.ODD, advice)


def _files(folder: Path) -> Iterator[Path]:
    found = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    yield from (path for path, _ in zip(found, range(_LOOKED_AT), strict=False) if path.is_file())
