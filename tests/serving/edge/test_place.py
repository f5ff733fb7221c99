"""A configuration takes the old one's place when nginx takes it, and not else."""

from __future__ import annotations

import itertools
import os
import pwd
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from earshot.made_up import edge as edges
from earshot.made_up.edge import Edge
from ingest.catalog import take_in_catalog
from ingest.feeds.schema import EPISODES, REGISTERED, shard_of
from ingest.feeds.state import folder_of
from ingest.lake import Lake, write_parquet
from ingest.logs.prefixes import PrefixRules
from ingest.schema import conform
from ingest.settings import SettingError, Settings
from serving.edge.check import check
from serving.edge.grammar import LONGEST_PATTERN, TooManyPrefixes, grammar
from serving.edge.hosts import MOST_OF_A_SHOW, hosts_of, registered_hosts
from serving.edge.place import hosts_in_place, in_place, kept_back, place
from serving.edge.render import Rendered, render
from serving.edge.rotate import rotate
from serving.edge.server import EdgeError
from serving.edge.settings import EdgeSettings
from tests.serving.edge.asking import ask

GOOD = ("media.example.com", "cdn.example.org")


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with edges.running(Settings(data=tmp_path), *GOOD, rate=0, workers=1) as running:
        yield running


def _until(edge: Edge, target: str, status: int) -> None:
    give_up = time.monotonic() + 20
    while ask(edge.port, target).status != status:
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_new_host_is_sent_on_to_after_a_reload_and_a_lost_one_is_not(edge: Edge) -> None:
    assert ask(edge.port, "/e/new.example.net/a.mp3").status == 404
    assert edge.put("media.example.com", "new.example.net")
    _until(edge, "/e/new.example.net/a.mp3", 302)
    _until(edge, "/e/cdn.example.org/a.mp3", 404)


def test_what_nginx_refuses_changes_nothing(edge: Edge) -> None:
    before = in_place(edge.settings)
    good = render(edge.settings, GOOD, edge.prefixes)
    for broken in (
        Rendered(good.nginx, "media.example.com 1;\ncdn.example.org 1\n"),
        Rendered(good.nginx.replace("location /", "locatio /"), good.hosts),
    ):
        with pytest.raises(EdgeError, match=r"nginx refuses[^\n]*\n.*emerg"):
            place(edge.settings, broken)
        assert in_place(edge.settings) == before
        assert hosts_in_place(edge.settings) == set(GOOD)
    assert ask(edge.port, "/e/media.example.com/a.mp3").status == 302
    assert len(list(edge.settings.folder.glob("conf-*"))) == 1


def test_the_same_again_is_left_alone(edge: Edge) -> None:
    assert not edge.put(*reversed(GOOD))


@pytest.mark.parametrize(
    "harm",
    [
        lambda told: told.replace(b"cdn.example.org", b"cdn.exalple.org"),
        lambda told: b"\xff\xfe" + told,
        lambda told: told[:-7],
        lambda told: b"",
    ],
    ids=["a flipped bit", "no text", "cut short", "empty"],
)
def test_a_list_of_hosts_that_changed_on_its_disk_is_told_not_believed_and_written_anew(
    edge: Edge, harm: Callable[[bytes], bytes]
) -> None:
    hosts = edge.settings.folder / "current" / "hosts.conf"
    good = hosts.read_bytes()
    hosts.write_bytes(harm(good))
    assert hosts_in_place(edge.settings) == set()
    assert "damaged on its disk" in _said(edge.settings, "configuration")
    assert edge.put(*GOOD)
    assert hosts.read_bytes() == good and _said(edge.settings, "configuration") == ""
    assert ask(edge.port, "/e/cdn.example.org/a.mp3").status == 302


def test_nginx_is_told_again_where_a_render_was_killed_before_it_told(edge: Edge) -> None:
    edge.put(*GOOD, "new.example.net")
    _until(edge, "/e/new.example.net/a.mp3", 302)
    assert not edge.put(*GOOD, "new.example.net")
    (edge.settings.folder / ".told").write_text("an earlier one")
    assert edge.put(*GOOD, "new.example.net")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own folders of somebody else")
def test_root_does_nothing_in_the_folders_of_somebody_else_who_could_lead_it_astray(tmp_path: Path) -> None:
    nobody, mine = pwd.getpwnam("nobody"), tmp_path / "roots"
    mine.write_text("root's own")
    settings = EdgeSettings(platform=Settings(data=tmp_path / "data"), listen="127.0.0.1:1")
    (settings.folder / "log").mkdir(parents=True)
    (settings.folder / "log" / "0.json").symlink_to(mine)
    os.chown(settings.platform.data, nobody.pw_uid, nobody.pw_gid)
    for what in (
        lambda: place(settings, render(settings, GOOD, PrefixRules.built_in())),
        lambda: rotate(settings),
    ):
        with pytest.raises(EdgeError, match="belongs to nobody: run this, and nginx, as nobody"):
            what()
    assert (mine.stat().st_uid, mine.read_text()) == (0, "root's own")


def test_hosts_are_not_lost_by_more_than_half_at_once_and_new_ones_come_all_the_same(edge: Edge) -> None:
    assert kept_back(edge.settings, ("new.example.net",)) == ("cdn.example.org", "media.example.com")
    assert kept_back(edge.settings, ("media.example.com",)) == ()


def test_twenty_thousand_hosts_fit(edge: Edge) -> None:
    many = [f"{'h' * (number % 60)}{number}.example.com" for number in range(20_000)]
    assert edge.put(*GOOD, *many)
    _until(edge, f"/e/{many[-1]}/a.mp3", 302)


def test_old_configurations_do_not_pile_up(edge: Edge) -> None:
    for number in range(6):
        edge.put(*GOOD, f"h{number}.example.com")
    assert len(list(edge.settings.folder.glob("conf-*"))) == 3


def test_hosts_that_could_mean_something_to_nginx_or_a_local_network_are_passed_over() -> None:
    odd = ["127.0.0.1", "[::1]", "localhost", "a.com 1; b.com", "x.example.com;", "~.*",
           "include /etc/passwd", "default", "*.example.com", "a..b.com", "bücher.example", "a.com\nb.com",
           "user@a.com", f"{'a' * 64}.com",
           ".".join(["a" * 60] * 5) + ".com", "10.0.0.1:80", "nas.local", "router.lan", "x.localhost:8080",
           "metadata.google.internal", "a.com:0", "a.com:99999"]  # fmt: skip
    found = hosts_of([*odd, "OK.example.com.", "p.example.com:8443", "q.example.com:443", ""])
    assert found.names == ("ok.example.com", "p.example.com:8443", "q.example.com")
    assert found.passed_over == tuple(sorted(odd))


def test_registered_are_catalogue_and_feeds_of_podcasts_that_are_still_registered(tmp_path: Path) -> None:
    settings = EdgeSettings(platform=Settings(data=tmp_path), hosts="extra.example.com")
    assert registered_hosts(settings).names == ("extra.example.com",)
    lake = Lake(settings.platform.lake_dir)
    listed = tmp_path / "episodes.csv"
    listed.write_text(
        "episode_id,show_id,enclosure_url,file_bytes,duration_s,id3_bytes\n"
        "e1,s1,https://op3.dev/e/list.example.com:443/a.mp3?x=1,,,\n"
    )
    take_in_catalog([listed], lake, PrefixRules.built_in())
    registered = [
        {"podcast_key": 1, "state": "active"},
        {"podcast_key": 2, "state": "gone"},
        {"podcast_key": 3, "state": "deregistered"},
    ]
    write_parquet(conform(pl.DataFrame(registered), REGISTERED).collect(), lake.registered_path)
    for key, name in ((1, "active"), (2, "gone"), (3, "left"), (4, "never")):
        urls = [f"https://{name}.example.com/a.mp3", f"https://old-{name}.example.com:8443/a.mp3"]
        row = pl.DataFrame({"podcast_key": [key], "episode_key": [key], "enclosure_urls": [urls]})
        folder = folder_of(lake.root, shard_of(key)) / "episodes"
        folder.mkdir(parents=True, exist_ok=True)
        write_parquet(conform(row, EPISODES).collect(), folder / f"{key}.parquet")
    assert registered_hosts(settings).names == (
        "active.example.com",
        "extra.example.com",
        "gone.example.com",
        "list.example.com",
        "old-active.example.com:8443",
        "old-gone.example.com:8443",
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HOSTS", "media.example.com,127.0.0.1", "'127.0.0.1' is no host such as"),
        ("LISTEN", "0.0.0.0:80; include /etc/passwd", "is no address:port such as"),
        ("LISTEN", "[::]:70000", "is no address:port such as"),
        ("DIR", "/tmp/a b", "cannot be told of a path with spaces"),
        ("CERTIFICATE", "/tmp/a.pem", "go together"),
        ("TRUSTED_PROXIES", "everybody", "EARSHOT_EDGE_TRUSTED_PROXIES"),
        ("RATE", "-1", "EARSHOT_EDGE_RATE"),
        ("SOURCE", "../x", "EARSHOT_EDGE_SOURCE"),
        ("../PREFIX_HOSTS", "pfx.example.net; return 301 http://x", "is no host such as"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingError) as told:
        registered_hosts(EdgeSettings.from_env({f"EARSHOT_EDGE_{name}".replace("EDGE_../", ""): value}))
    assert said in str(told.value)


def test_more_prefixes_than_nginx_can_look_for_are_refused_with_words() -> None:
    many = PrefixRules(tuple((f"prefix-number-{number}.example.com", "/e") for number in range(100)))
    with pytest.raises(TooManyPrefixes, match="shorten the list"):
        grammar(many)
    assert len(grammar(PrefixRules(many.known[:29])).end) < LONGEST_PATTERN


def test_certificates_are_used_and_old_protocols_are_not(tmp_path: Path) -> None:
    _make_certificate(tmp_path, days=30)
    port = edges.free_port()
    given = {"certificate": tmp_path / "chain.pem", "certificate_key": tmp_path / "key.pem"}
    tls = f"127.0.0.1:{port}"
    platform = Settings(data=tmp_path, prefix_hosts="pfx.example.net")
    with edges.running(platform, *GOOD, listen_tls=tls, **given) as edge:
        context = ssl.create_default_context(cafile=str(tmp_path / "chain.pem"))
        context.check_hostname = False
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20)) as secure:
            assert secure.version() == "TLSv1.3"
            secure.sendall(b"GET /e/media.example.com/a.mp3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"\r\nLocation: https://media.example.com/a.mp3\r\n" in secure.recv(65_536)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            old.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))
        assert _certificate(edge.settings) == ""
        renamed = Settings(data=tmp_path, prefix_hosts="pfx.example.net,other.example.net")
        assert "it is not for other.example.net" in _certificate(
            edge.settings.model_copy(update={"platform": renamed})
        )
        _make_certificate(tmp_path, days=5)
        assert "ends within 14 days" in _certificate(edge.settings)
        assert "nginx serves another one: run earshot edge reload" in _certificate(edge.settings)


def _make_certificate(folder: Path, days: int) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days),
         "-subj", "/CN=pfx.example.net", "-keyout", folder / "key.pem", "-out", folder / "chain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def _certificate(settings: EdgeSettings) -> str:
    (looked,) = (one for one in check(settings) if one.what == "certificate")
    return looked.advice


def _said(settings: EdgeSettings, what: str) -> str:
    return " ".join(one.advice for one in check(settings) if one.what == what)


def test_check_tells_of_settings_that_are_not_rendered_yet(edge: Edge) -> None:
    assert _said(edge.settings, "configuration") == ""
    for changed in ({"workers": 7}, {"trusted_proxies": "10.0.0.0/8"}, {"listen": "127.0.0.1:1"}):
        assert "run earshot edge render" in _said(edge.settings.model_copy(update=changed), "configuration")


def test_check_tells_of_workers_that_outlive_their_master_and_how_to_go_on(edge: Edge) -> None:
    children = Path(f"/proc/{edge.process.pid}/task/{edge.process.pid}/children").read_text().split()
    edge.process.kill()
    try:
        advice = _said(edge.settings, "running")  # it is not buried yet
        assert f"kill {' '.join(children)}, then start it: " in advice
    finally:
        for child in children:
            os.kill(int(child), signal.SIGKILL)


def test_a_log_that_somebody_removed_is_begun_anew_and_told(edge: Edge) -> None:
    edge.settings.log.unlink()
    assert "run earshot edge rotate" in _said(edge.settings, "log")
    assert ask(edge.port, "/e/media.example.com/a.mp3").status == 302
    assert rotate(edge.settings).was_gone
    give_up = time.monotonic() + 20
    while not (edge.settings.log.exists() and edge.settings.log.stat().st_size):  # the worker reopens later
        assert time.monotonic() < give_up
        assert ask(edge.port, "/e/media.example.com/b.mp3").status == 302
    done = rotate(edge.settings)
    assert not done.was_gone
    assert [b"/b.mp3" in path.read_bytes() for path in done.published] == [True]


def test_a_flood_of_refused_requests_writes_nothing_and_a_long_agent_not_more_than_a_kilobyte(
    tmp_path: Path,
) -> None:
    with edges.running(Settings(data=tmp_path), *GOOD, rate=1, burst=3, workers=1) as edge:
        long = tuple(f"{name}: " + "\x01" * 7_000 for name in ("User-Agent", "Referer", "Range"))
        answers = [ask(edge.port, "/e/media.example.com/a.mp3", headers=long).status for _ in range(40)]
        assert ask(edge.port, "/e/media.example.com/a.mp3", "POST").status == 405
        (published,) = rotate(edge.settings).published
    lines = published.read_bytes().splitlines()
    assert len(lines) == answers.count(302) < 10
    assert max(map(len, lines)) < 15_000  # a control character takes six


def test_one_show_cannot_fill_the_table_of_hosts_for_all(tmp_path: Path, edge: Edge) -> None:
    """Names that nginx's hash cannot tell apart (`an` and `c0`), or too many of them."""
    alike = ["".join(parts) + ".example.com" for parts in itertools.product(("an", "c0"), repeat=11)][:1_500]
    found = hosts_of([*alike, "media.example.com"])
    assert len(found.names) == 5
    assert len(found.passed_over) == 1_496
    assert edge.put(*found.names)
    lake = Lake(edge.settings.platform.lake_dir)
    listed = tmp_path / "episodes.csv"
    rows = [f"e{number},s1,https://h{number}.example.com/a.mp3" for number in range(500)]
    rows += [f"m{number},s1,https://main.example.com/{number}.mp3" for number in range(3)]
    rows += ["x,s2,https://other.example.com/a.mp3"]
    listed.write_text("\n".join(["episode_id,show_id,enclosure_url,file_bytes,duration_s,id3_bytes",
                                 *(f"{row},,," for row in rows)]) + "\n")  # fmt: skip
    take_in_catalog([listed], lake, PrefixRules.built_in())
    registered = registered_hosts(edge.settings)
    assert len(registered.names) == MOST_OF_A_SHOW + 1
    assert {"main.example.com", "other.example.com"} < set(registered.names)
    assert len(registered.passed_over) == 401
