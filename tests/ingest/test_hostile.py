"""Input that somebody made to break, mislead or leak; each was found by trying."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.listeners import KeyRing
from ingest.settings import Settings
from tests.ingest.samples import cloudfront, cloudfront_header, nginx, settings_of
from tests.ingest.test_intake import land, log, take


def lines_of(settings: Settings) -> int:
    return Lake(settings.lake_dir).requests().collect().height


@pytest.mark.parametrize("count", [3, 20_000])
def test_a_wrong_checksum_at_the_end_of_a_gzip_loses_no_row(tmp_path: Path, count: int) -> None:
    settings = settings_of(tmp_path)
    packed = bytearray(gzip.compress(log(*range(count)).encode()))
    packed[-6] ^= 1  # the last 8 bytes are checksum and length
    (row,) = take(settings, land(settings, bytes(packed))).files.to_dicts()
    assert row["status"] == "taken" and row["is_truncated"] and row["requests"] == count


def test_a_gzip_without_a_whole_byte_of_text_is_not_called_empty(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (row,) = take(settings, land(settings, b"\x1f\x8b\x08broken")).files.to_dicts()
    assert row["status"] == "rejected" and "gzip" in row["reason"]


def test_files_joined_to_one_are_read_under_each_header(tmp_path: Path) -> None:
    fewer = ["date", "time", "c-ip", "cs-method", "sc-status", "sc-bytes", "cs-uri-stem", "cs(User-Agent)"]
    fewer += ["x-edge-request-id", "x-host-header", "time-taken"]
    parts = [log(1, 2), log(3), cloudfront_header(fewer) + cloudfront(fewer, x_edge_request_id=4), log(5)]
    settings = settings_of(tmp_path)
    (row,) = take(settings, land(settings, "".join(parts))).files.to_dicts()
    assert (row["requests"], row["rejects"], row["directives"]) == (5, 0, 8)


def test_a_damaged_header_among_the_data_loses_no_row(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    text = log(1, 2) + "#Fields: date time\n" + cloudfront(x_edge_request_id=3)
    (row,) = take(settings, land(settings, text)).files.to_dicts()
    assert (row["status"], row["requests"], row["rejects"]) == ("taken", 3, 0)


def test_strangers_asking_for_prefix_urls_do_not_turn_a_server_log_into_a_prefix_log(tmp_path: Path) -> None:
    # 300 × 404 on top, then 20 downloads.
    junk = [nginx(id=f"j{n}", uri="/e/x.example/a.mp3", status=404) for n in range(300)]
    good = [nginx(id=f"g{n}") for n in range(20)]
    settings = settings_of(tmp_path)
    (row,) = take(settings, land(settings, "".join(junk + good))).files.to_dicts()
    assert row["source_class"] == "server_log"


def test_media_below_e_on_a_server_is_no_prefix_log(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lines = "".join(nginx(id=n, uri="/e/1.mp3", status=200) for n in range(5))
    assert take(settings, land(settings, lines)).files["source_class"].to_list() == ["server_log"]


def test_a_file_name_that_is_not_utf8_is_taken_in_and_stops_no_other(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for n, name in enumerate((b"b.log", b"\xff.log", b"zz.log")):
        path = os.fsencode(settings.landing_dir / "cdn") + b"/" + name
        Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
        Path(os.fsdecode(path)).write_text(log(n))
    report = take(settings, *find_landing_files(settings))
    assert sorted(report.files["file_name"]) == ["\\udcff.log", "b.log", "zz.log"]
    assert lines_of(settings) == 3


def test_a_refused_file_heals_when_its_source_is_declared_right(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.data.mkdir()
    declared = settings.data / "sources.toml"
    declared.write_text('[cdn]\nformat = "caddy"\n')
    landed = land(settings, nginx())
    assert take(settings, landed).files["status"].to_list() == ["rejected"]
    declared.write_text('[cdn]\nformat = "nginx"\n')
    assert take(settings, landed).files["status"].to_list() == ["taken"]
    assert lines_of(settings) == 1 and Lake(settings.lake_dir).rejects().collect().height == 0


@pytest.mark.parametrize(
    ("address", "values"),
    [
        ("2001:db8:aa:1:cc:dd:ee:ff", {"ua": "App/1 (id:2001:db8:aa:1:cc:dd:ee:ff)"}),
        ("2001:db8:aa:2:cc:dd:ee:ff", {"ua": "App/1 2001:db8:aa:2:cc:dd:ee:ff:443"}),
        ("2001:db8:aa:3:cc:dd:ee:ff", {"uri": "/x/add:2001:db8:aa:3:cc:dd:ee:ff/a.mp3"}),
        # Somebody else's:
        ("203.0.113.50", {"ua": "Proxy/1 (for 203.0.113.50)", "ip": "198.51.100.1"}),
        ("203.0.113.51", {"ua": "App/1 via:203.0.113.51:80", "ip": "198.51.100.1"}),
        ("2001:db8:aa:4::1", {"ua": "App/1 [2001:db8:aa:4::1]", "ip": "198.51.100.1"}),
        ("203.0.113.52", {"uri": "/a.mp3?u=1699_203.0.113.52_203.0.113.52", "ip": "198.51.100.1"}),
        ("203.0.113.53", {"uri": "/a.mp3?u=http%3A%2F%2Fx%3Fip%3D203.0.113.53%26y", "ip": "198.51.100.1"}),
        (
            "2001%3Adb8%3Aaa%3A5%3A%3A1",
            {"uri": "/a.mp3?u=a-2001%3Adb8%3Aaa%3A5%3A%3A1", "ip": "198.51.100.1"},
        ),
        ("203.0.113.54", {"ref": "https://www.203.0.113.54.example.net/", "ip": "198.51.100.1"}),
        # Cut short by the CDN, but whole elsewhere:
        ("203.0.113.55", {"uri": "/203.0.113.55/a.mp3", "ip": "203.0.113.0"}),
        ("203.0.113.56", {"ua": "Proxy/203.0.113.56", "ip": "203.0.113.0"}),
    ],
)
def test_an_address_in_an_agent_url_or_referrer_is_not_kept(
    tmp_path: Path, address: str, values: dict[str, str]
) -> None:
    settings = settings_of(tmp_path)
    take(settings, land(settings, nginx(**{"ip": address, **values})))
    kept = repr(Lake(settings.lake_dir).requests().collect().rows())
    assert "<address>" in kept and address not in kept


def test_versions_that_look_like_addresses_are_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
        "Mozilla/5.0 (X11; U; Linux; rv:1.8.1.14) Gecko/20080404",
        "okhttp/4.9.0.1",
        "MyApp v1.2.3.4-beta (build-5.6.7.8; 12:34:56)",
    ]
    lines = [nginx(ua=agent, id=agent, ip=ip) for agent in agents for ip in ("203.0.113.7", "0.0.0.0")]
    uri = "/v1.2.3.4/a.mp3?app=v1.2.3.4&t=12:34:56"
    take(settings, land(settings, "".join([*lines, nginx(uri=uri, id="url")])))
    requests = Lake(settings.lake_dir).requests().collect()
    assert set(agents) <= set(requests["agent"])
    assert "<address>" not in requests.write_json()
    assert f"https://media.example.fm{uri}" in requests["enclosure_url"].to_list()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
settings = Settings(data=Path(sys.argv[1]), settle_s=0)
lake = Lake(settings.lake_dir)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    take_in(find_landing_files(settings), settings, lake)
except OSError as error:
    print("OSError", error.filename)
"""


def test_a_disk_that_is_full_ends_the_intake_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None  # the limit on a file's size stands in for the disk's
    settings = settings_of(tmp_path)
    land(settings, log(*range(50)), name="a-small.log")
    land(settings, "".join([log(*range(20_000))]), name="b-large.log")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(settings.data)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("OSError"), done.stderr
    lake = Lake(settings.lake_dir)
    assert lake.ledger()["file_name"].to_list() == ["a-small.log"]
    assert lake.requests().collect().height == 50
    assert not list(settings.data.rglob("*.tmp"))
    report = take_in(find_landing_files(settings), settings, lake, keyring=KeyRing.ephemeral())
    assert report.files.select("file_name", "requests").rows() == [("b-large.log", 20_000)]


def test_a_path_in_rich_markup_is_counted_under_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "[bold]x.log"
    file.write_text(nginx(uri="/[/b]/[red]ep.mp3"))
    command = [sys.executable, "-m", "earshot.cli", "count", str(file)]
    table = subprocess.run(command, capture_output=True, text=True, check=False)
    assert table.returncode == 0, table.stderr
    assert "[red]ep.mp3" in table.stdout.replace("\n", "").replace(" ", "").replace("│", "")
    as_json = subprocess.run([*command, "--output", "json"], capture_output=True, text=True, check=False)
    assert json.loads(as_json.stdout)[0]["episode_id"] == "https://media.example.fm/[/b]/[red]ep.mp3"


@pytest.mark.parametrize("facts", ["0,1800,", "0,,", "1000,1800,2000"])
def test_sizes_of_nothing_in_the_catalogue_make_no_downloads_of_nothing(tmp_path: Path, facts: str) -> None:
    (tmp_path / "a.log").write_text(nginx(uri="/a.mp3", status=200, bytes=0))
    episodes = tmp_path / "episodes.csv"
    episodes.write_text(
        "episode_id,show_id,enclosure_url,file_bytes,duration_s,id3_bytes\n"
        f"e1,s1,https://media.example.fm/a.mp3,{facts}\n"
    )
    command = ["count", str(tmp_path / "a.log"), "--episodes", str(episodes), "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [row["downloads"] for row in json.loads(done.stdout)] == [0]
