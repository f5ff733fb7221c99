"""What a hostile, or a broken, backup cannot do: one message each, and nothing is written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from earshot.backup import restore as restoring
from earshot.backup.manifest import FILE, BackupError
from earshot.backup.restore import restore
from ingest.settings import Settings
from tests.e2e.backup.conftest import quiet

Members = dict[str, bytes]


def entry(path: str, content: bytes = b"x", **change: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path, "bytes": len(content), "sha256": digest, "mtime_ns": 0} | change


def manifest(*files: dict[str, Any], **change: Any) -> bytes:
    told = {"format": 1, "made_at": "2026-11-30T00:00:00+00:00", "earshot": "1", "lake_format": None}
    told |= {"registry": "none", "revision": None, "has_warehouse": False, "left_out": [], "settings": []}
    return json.dumps({**told, "files": files, **change}).encode()


def tar_of(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o6777
            tar.addfile(member, io.BytesIO(content))
    return path


def refused(source: Path, tmp_path: Path) -> str:
    to = tmp_path / "back"
    with pytest.raises(BackupError) as told:
        restore(Settings(data=to), source, to, quiet)
    assert not to.exists() and not list(tmp_path.glob(".back*"))
    return str(told.value)


X = {"lake/x": b"x"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 200_000, "cannot be read"),
        (manifest(entry("lake/x", mtime_ns=10**30)), "which no backup of ours holds"),
        (manifest(entry("lake/x", mtime_ns=-(10**30))), "which no backup of ours holds"),
        (manifest(entry("lake/x", bytes=-1)), "which no backup of ours holds"),
        (manifest(entry("lake/x", bytes=True)), "which no backup of ours holds"),
        (manifest(entry("lake/\ud800")), "which no backup of ours holds"),
        (manifest(entry("lake"), entry("lake/x")), "as a file and as a folder"),
        (manifest(entry("lake/x"), registry="zzz"), "does not fit the files"),
        (manifest(entry("lake/x"), registry="sqlite"), "does not fit the files"),
        (manifest(entry("lake/x"), has_warehouse=True), "does not fit the files"),
        (manifest(entry("lake/x", bytes=2)), "damaged: lake/x"),
        (manifest(entry("lake/x", content=b"y")), "damaged: lake/x"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tar_of(tmp_path / "evil.tar", {FILE: content} | X), tmp_path)


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_a_manifest_far_too_large_for_its_files_is_not_read(tmp_path: Path, kind: str) -> None:
    huge = manifest(entry("lake/x")) + b" " * (2 << 20)
    if kind == "tar":
        source = tar_of(tmp_path / "evil.tar", {FILE: huge} | X)
    else:
        source = tmp_path / "evil"
        (source / "lake").mkdir(parents=True)
        (source / "lake" / "x").write_bytes(b"x")
        (source / FILE).touch()
        os.truncate(source / FILE, 8 << 30)  # takes no room
    assert "larger than that of any backup" in refused(source, tmp_path)


@pytest.mark.parametrize("form", ["--format=gnu", "--format=posix"])
def test_a_file_that_grows_out_of_nothing_is_refused(tmp_path: Path, form: str) -> None:
    (tmp_path / "in" / "lake").mkdir(parents=True)
    size = 256 << 20
    (tmp_path / "in" / "lake" / "x").touch()
    os.truncate(tmp_path / "in" / "lake" / "x", size)
    digest = hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
    (tmp_path / "in" / FILE).write_bytes(manifest(entry("lake/x", bytes=size, sha256=digest.hexdigest())))
    evil = tmp_path / "evil.tar"
    command = ["tar", form, "-S", "-cf", str(evil), "-C", str(tmp_path / "in"), FILE, "lake/x"]
    subprocess.run(command, check=True)
    assert evil.stat().st_size < 1 << 20
    assert "sparse" in refused(evil, tmp_path)


def test_links_and_what_the_manifest_does_not_name_are_not_restored(tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        for name, kind in (("lake/x", tarfile.SYMTYPE), ("lake/y", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/hostname"
            tar.addfile(member)
        content = manifest(entry("lake/x"), entry("lake/y"))
        member = tarfile.TarInfo(FILE)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    assert "missing: lake/x, lake/y" in refused(evil, tmp_path)
    more = {FILE: manifest(entry("lake/x")), "keys/epoch-1.key": b"evil", "../stolen": b"evil"}
    restore(Settings(data=tmp_path / "back"), tar_of(evil, more | X), tmp_path / "back", quiet)
    found = [path for path in (tmp_path / "back").rglob("*") if path.is_file()]
    assert found == [tmp_path / "back" / "lake" / "x"] and found[0].stat().st_mode & 0o7111 == 0


def test_a_header_that_claims_more_than_memory_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 1 << 62
    (tmp_path / "evil.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "no backup, or not a whole one" in refused(tmp_path / "evil.tar", tmp_path)


def test_a_packed_backup_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "saved.tar.gz").write_bytes(b"\x1f\x8b" + bytes(2000))
    assert "Unpack it first" in refused(tmp_path / "saved.tar.gz", tmp_path)


def test_a_backup_larger_than_the_disk_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tar_of(
        tmp_path / "saved.tar", {FILE: manifest(entry("lake/x", b"x" * 5000)), "lake/x": b"x" * 5000}
    )
    free = restoring.shutil.disk_usage(tmp_path)._replace(free=4999)
    monkeypatch.setattr(restoring.shutil, "disk_usage", lambda _: free)
    said = refused(source, tmp_path)
    assert f"no room under {tmp_path}: the backup has 5,000 bytes, 4,999 are free" in said


def test_a_mounted_folder_is_refused_at_once(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file system cannot be mounted here: that needs root")
    to = tmp_path / "disk"
    to.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(to)], capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        source = tar_of(tmp_path / "saved.tar", {FILE: manifest(entry("lake/x"))} | X)
        with pytest.raises(BackupError, match="name a new folder in it"):
            restore(Settings(data=to), source, to, quiet)
        restore(Settings(data=to / "data"), source, to / "data", quiet)
    finally:
        subprocess.run(["umount", str(to)], check=True)
