"""Numbered version folders, and the one link that says which of them is current."""

from __future__ import annotations

import shutil
from pathlib import Path

from ingest.durable import sync

CURRENT = "current"
MANIFEST_NAME = "manifest.json"  # in each version: what is in it
LEFTOVER = ".new-"  # folders and links in the making
DIGITS = 8
# What to do where there is no version, or one that an earlier Earshot has left.
TO_PUBLISH = "`earshot run` builds and publishes them; after an upgrade `earshot rebuild` publishes them anew"


def folder_name(version: int) -> str:
    """The folder of a version, zero-padded so that names sort as numbers do."""
    return f"{version:0{DIGITS}d}"


def current_version(published_dir: Path) -> Path | None:
    """The folder readers should open now, or None when nothing is published."""
    link = published_dir / CURRENT
    return link.resolve() if link.exists() else None


def switch(published_dir: Path, name: str) -> None:
    """Point `current` at version `name`, in one step for whoever looks."""
    fresh = published_dir / f"{LEFTOVER}{CURRENT}"
    fresh.symlink_to(name, target_is_directory=True)
    fresh.replace(published_dir / CURRENT)
    sync(published_dir)


def all_versions(published_dir: Path) -> list[Path]:
    return sorted(
        (folder for folder in published_dir.iterdir() if folder.name.isdecimal() and folder.is_dir()),
        key=lambda folder: int(folder.name),
    )


def next_version(published_dir: Path) -> int:
    return max((int(folder.name) for folder in all_versions(published_dir)), default=0) + 1


def prune(published_dir: Path, keep: int) -> None:
    """Remove all but the `keep` newest versions, and never the one readers are sent to."""
    current = current_version(published_dir)
    for folder in all_versions(published_dir)[: -max(keep, 1)]:
        if folder.resolve() != current:
            # Hidden first: a reader that lists versions never meets a folder half removed.
            hidden = folder.with_name(f"{LEFTOVER}old-{folder.name}")
            folder.replace(hidden)
            shutil.rmtree(hidden, ignore_errors=True)


def clear_leftovers(published_dir: Path) -> None:
    for leftover in published_dir.glob(f"{LEFTOVER}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def flush(folder: Path) -> None:
    """Flush a version's files to disk; those it shares with an older version lie there already."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.stat().st_nlink == 1:
            sync(path)
    sync(folder)
