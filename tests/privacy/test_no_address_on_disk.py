"""No byte that we write tells an address: searched after each stage, in every form and packing.

Left out is the landing folder alone: the logs in it are raw by nature, and the operator's.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest
import zstandard

from earshot.backup.restore import restore
from earshot.backup.write import backup
from earshot.pipeline import run_dbt
from ingest.lake import Lake, write_parquet
from ingest.settings import Settings
from orchestration.assets.ingest import take_in_logs
from orchestration.assets.maintenance import lake_maintenance
from orchestration.instance import prepare_home
from orchestration.partitions import hour_key
from orchestration.resources import Installation
from registry.database import connected
from serving.alerts.looks import look
from serving.edge.errors import mask_errors
from serving.publish import publish
from tests.ingest.samples import APP, cloudfront, cloudfront_header, nginx
from tests.privacy.search import forms, found_in, search

V4, OTHER, V6, MAPPED = "203.0.113.77", "198.51.100.23", "2001:db8:77:88::1", "192.0.2.99"
PLANTED = [V4, OTHER, V6, MAPPED]
SIX = {
    "short": "2001:db8:77:88::1",
    "upper": "2001:DB8:77:88::1",
    "whole": "2001:0db8:0077:0088:0000:0000:0000:0001",
    "bracketed": "[2001:db8:77:88::1]",
    "zoned": "2001:db8:77:88::1%eth0",
    "dotted": "2001:db8:77:88::0.0.0.1",
}
RAW = ("landing",)


def good_lines() -> list[str]:
    """Lines that can be read, with the client's own address in odd places."""
    percent = V4.replace(".", "%2E")
    lines = [
        nginx(id="ua", ip=V4, ua=f"{APP} (client {V4})"),
        nginx(id="query", ip=V4, uri=f"/show/1.mp3?client={V4}&x=1"),
        nginx(id="percent", ip=V4, uri=f"/show/1.mp3?client={percent}"),
        nginx(id="path", ip=V4, uri=f"/to/{V4}/1.mp3"),
        nginx(id="ref", ip=V4, ref=f"https://{V4}/page?from={V4}"),
        nginx(id="refs", ip=OTHER, ref=f"https://{OTHER}.example.com/?ip={OTHER}"),
        nginx(id="xff", ip=OTHER, xff=f"{V4}, {V6}, 10.0.0.1"),
        nginx(id="mapped", ip=f"::ffff:{MAPPED}", ua=f"App/1.0 ::ffff:{MAPPED}"),
        nginx(id="mapped-hex", ip="::FFFF:C000:263", ua=f"App/1.0 {MAPPED}"),
        nginx(id="escaped", ip="IP", ua="UA").replace('"IP"', _escaped(V4)).replace('"UA"', _escaped(V4)),
    ]
    for name, address in SIX.items():
        lines.append(nginx(id=f"six-{name}", ip=address, ua=f"App/1.0 ({address})"))
        coded = SIX["short"].replace(":", "%3A")
        lines.append(nginx(id=f"coded-{name}", ip=address, uri=f"/show/1.mp3?ip={coded}"))
    return lines


def bad_lines() -> list[str]:
    """Lines that cannot be read, each with an address."""
    return [
        f'{V4} - - [01/Sep/2026:10:00:00 +0000] "GET /show/1.mp3 HTTP/1.1" 200 5 "-" "App of {V4}"\n',
        nginx(ip=V4, ua=f"torn {V4}")[:-40] + "\n",
        nginx(ip=f"{V4}, {OTHER}"),
        nginx(ip=f"{V4}:4711"),
        nginx(ip=f"client={V6}"),
        nginx(ip=V4, ts=V4),
        nginx(ip=V6, status=f"200 for {V6}"),
        nginx(ip=V4, ts="1.000", ua=f"early {V4} {SIX['whole']}"),
        f"garbage {SIX['whole']} {SIX['upper']} {V4.replace('.', '%2e')} ::ffff:{MAPPED}\n",
        '{"ip":' + _escaped(V4) + ',"ua":' + _escaped(f"x {V6}") + "\n",
        f"{V6.replace(':', '%3A')} percent\n",
    ]


def _escaped(text: str) -> str:
    return '"' + "".join(f"\\u{ord(sign):04x}" for sign in text) + '"'


class House:
    """An installation into which addresses come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(data=folder / "data", settle_s=0)

    def land(self) -> None:
        good, bad = "".join(good_lines()), "".join(bad_lines())
        stamped = cloudfront_header() + cloudfront(c_ip=V4, cs_User_Agent=f"App%20{V4}") + f"{V4} torn\n"
        files = {
            "cdn/good.log": (good * 3 + bad).encode(),
            "cdn/packed.log.gz": gzip.compress((nginx(id="gz", ip=V6) + bad).encode()),
            "cdn/packed.log.zst": zstandard.compress((nginx(id="zst", ip=OTHER) + bad).encode()),
            "cdn/held.log": (nginx(id="held", ip=V4) + bad * 6).encode(),  # more bad than good
            "cdn/refused.log": f"{V4}\n{V6}\n".encode() * 5,
            "cdn/broken.log.gz": gzip.compress(bad.encode() * 9)[:-30] + V4.encode(),
            "amazon/stamped.log": stamped.encode(),
        }
        for name, content in files.items():
            path = self.settings.landing_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def run(self, asset: dg.AssetsDefinition, partition: str | None) -> bool:
        with dg.DagsterInstance.get() as instance:
            done = dg.materialize(
                [asset],
                instance=instance,
                resources={"installation": Installation()},
                partition_key=partition,
                raise_on_error=False,
            )
        return done.success

    def found(self) -> list[str]:
        return search(self.folder, PLANTED, RAW)


@contextlib.contextmanager
def environment(settings: Settings) -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= {
        "EARSHOT_DATA": str(settings.data),
        "EARSHOT_SETTLE_S": "0",
        "DAGSTER_HOME": str(prepare_home(settings)),
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("searched"))
    house.land()
    with environment(house.settings):
        yield house


def said(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_search_finds_an_address_in_every_form_and_packing(tmp_path: Path) -> None:
    """So the tests below can fail."""
    for address in PLANTED:
        for form, needle in forms(address).items():
            assert found_in(b"before" + needle + b"after", [address]), (address, form)
    text = f"somebody at {V4} said\n"
    frame = pl.DataFrame({"agent": ["x" * 500, text] * 40, "n": [1, 2] * 40})
    write_parquet(frame, tmp_path / "a.parquet")
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute("create table t as select concat('203.0.', '113.77') as a from range(100000)")
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "a.zst").write_bytes(zstandard.compress(text.encode()))
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}) + _escaped(V4))
    shutil.make_archive(str(tmp_path / "packed"), "tar", tmp_path, "a.gz")
    told = search(tmp_path, [V4])
    for name in ("a.parquet", "a.duckdb", "a.gz", "a.zst", "a.json", "packed.tar"):
        assert any(hit.startswith(f"{name}: ") for hit in told), (name, told)


def test_after_intake_through_dagster(house: House) -> None:
    house.run(take_in_logs, hour_key(datetime.now(UTC)))
    ledger = Lake(house.settings.lake_dir).ledger()
    by_status = dict(ledger.group_by("status").len().iter_rows())
    assert by_status["taken"] >= 4 and by_status["held"] >= 1 and by_status["rejected"] >= 1, ledger
    rejects = Lake(house.settings.lake_dir).rejects().collect()
    assert rejects.height > 60 and rejects["text"].str.contains("<address>").any()
    assert any((house.settings.data / "dagster").rglob("*.db"))
    assert house.found() == []


def test_after_counting_and_publishing(house: House) -> None:
    run_dbt(house.settings, ["run"])
    publish(house.settings.warehouse, house.settings.published_dir, 3)
    assert house.found() == []


def test_what_commands_say_and_export(house: House, tmp_path: Path) -> None:
    shown = [
        said("report", "--by", "app", "--output", "csv"),
        said("privacy", "access", "--from", "2026-09-01", "--to", "2026-10-31", stdin=f"{V4}\n"),
        said("privacy", "access", "--from", "2026-09-01", "--to", "2026-10-31", stdin=f"{V4}.1\n"),
        said("doctor"),
        said("count", str(house.settings.landing_dir / "cdn" / "refused.log"), "--explain"),
    ]
    assert all(shown) and '"requests"' in shown[1] and APP in shown[1]
    (tmp_path / "shown.txt").write_text("\n".join(shown))
    assert search(tmp_path, PLANTED) == []
    assert house.found() == []


def test_alerts_and_errors_of_the_edge(house: House) -> None:
    alerts = look(house.settings, {}, int(datetime.now(UTC).timestamp() * 1e6))
    assert any(alerts.values())
    assert found_in(repr(alerts).encode(), PLANTED) == []
    log = house.settings.data / "edge" / "log"
    log.mkdir(parents=True)
    (log / "error.log").write_text(f"[crit] failed, client: {V4}\n[crit] failed, client: {V6}, server: x\n")
    assert len(house.found()) >= 2, "it is searched"
    mask_errors(log)
    assert house.found() == []


def test_after_maintenance_a_backup_and_a_restore(house: House) -> None:
    with connected(None, house.settings.data):
        pass
    assert house.run(lake_maintenance, None)
    backup(house.settings, house.folder / "backup.tar", lambda *step: None)
    backup(house.settings, house.folder / "backup", lambda *step: None)
    restored = house.settings.model_copy(update={"data": house.folder / "restored"})
    restore(restored, house.folder / "backup.tar", house.folder / "restored", lambda *step: None)
    assert house.found() == []


def test_after_an_erasure(house: House) -> None:
    span = ("--from", "2026-09-01", "--to", "2026-10-31")
    told = said("privacy", "erase", *span, "--no-build", stdin=f"{V6}\n")
    assert "erased" in told and found_in(told.encode(), PLANTED) == []
    assert house.found() == []
