"""What is declared of a source, and what happens when its files are something else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingest.lake import Lake
from ingest.logs.found import find_landing_files, out_of_reach
from ingest.settings import SettingError, Settings
from ingest.sources import Source, Sources
from tests.ingest.samples import (
    NOON_S,
    NOON_US,
    bunny,
    caddy,
    cloudfront,
    cloudfront_header,
    land,
    nginx,
    settings_of,
    take,
)

PREFIX_LINE = nginx(uri="/e/media.example.fm/1.mp3", status=302)


def declare(settings: Settings, text: str) -> Settings:
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / "sources.toml").write_text(text)
    return settings


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def taken(settings: Settings) -> list[tuple[str, str, str]]:
    report = take(settings, *find_landing_files(settings))
    return sorted(report.files.select("source", "file_name", "status").rows())


# --- class and format


def test_an_undeclared_source_is_told_by_its_files(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    report = take(settings, land(settings, PREFIX_LINE, "a"), land(settings, nginx(), "b"))
    assert report.files.select("format", "source_class").rows() == [
        ("prefix", "prefix"),
        ("nginx", "server_log"),
    ]


def test_a_file_of_another_format_than_declared_is_refused(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\nformat = "cloudfront"\n')
    report = take(
        settings, land(settings, nginx()), land(settings, cloudfront_header() + cloudfront(), name="b")
    )
    assert report.files.select("status", "reason").rows() == [
        ("rejected", "file is nginx, source 'cdn' is declared cloudfront"),
        ("taken", None),
    ]


@pytest.mark.parametrize(
    ("declared", "line", "reason"),
    [
        ('class = "prefix"', cloudfront_header() + cloudfront(), "class = 'prefix' and format cloudfront"),
        ("trusted_proxies = 1", bunny(), "trusted_proxies = 1, but bunny has no X-Forwarded-For"),
        ('time_zone = "Europe/Berlin"', nginx(), "times in nginx carry their zone"),
    ],
)
def test_a_file_that_contradicts_what_is_declared_is_refused(
    tmp_path: Path, declared: str, line: str, reason: str
) -> None:
    settings = declare(settings_of(tmp_path), f"[cdn]\n{declared}\n")
    (row,) = take(settings, land(settings, line)).files.to_dicts()
    assert row["status"] == "rejected" and reason in row["reason"] and "source 'cdn'" in row["reason"]


def test_a_declared_prefix_log_may_begin_with_other_lines(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\nformat = "prefix"\n')
    report = take(settings, land(settings, nginx(uri="/healthz") * 3 + PREFIX_LINE))
    assert report.files.select("format", "status").rows() == [("prefix", "taken")]


# --- what a source is told


def test_a_time_without_a_zone_is_of_the_sources_zone(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\nformat = "caddy"\ntime_zone = "Europe/Berlin"\n')
    lines = caddy(ts="2026/09/29 14:00:00", duration=0) + caddy(ts=NOON_S, duration=0)
    take(settings, land(settings, lines))
    assert Lake(settings.lake_dir).requests().collect()["started_us"].to_list() == [NOON_US, NOON_US]


@pytest.mark.parametrize(
    ("declared", "line", "comparable"),
    [
        ("", bunny(), False),  # its addresses are cut short by default
        ("comparable = true", bunny(), True),  # the operator switched that off
        ("", nginx(), True),
        ("comparable = false", nginx(), False),
    ],
)
def test_whether_listeners_are_comparable_is_in_the_ledger(
    tmp_path: Path, declared: str, line: str, comparable: bool
) -> None:
    settings = declare(settings_of(tmp_path), f"[cdn]\n{declared}\n")
    assert take(settings, land(settings, line)).files["is_comparable"].to_list() == [comparable]
    assert Lake(settings.lake_dir).ledger()["is_comparable"].to_list() == [comparable]


# --- paths


def test_the_files_of_a_declared_path_are_taken_in_under_stable_names(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    logs = tmp_path / "var" / "log"
    put(logs / "eu" / "a.log", nginx(id="1"))
    put(logs / "us" / "a.log", nginx(id="2"))
    put(logs / "us" / "error.txt", "no log")
    land(settings, nginx(id="3"), "edge", "b.log")
    declare(settings, f'[cdn]\npath = "{logs}/*/*.log"\n')
    assert taken(settings) == [
        ("cdn", "eu/a.log", "taken"),
        ("cdn", "us/a.log", "taken"),
        ("edge", "b.log", "taken"),
    ]
    assert taken(settings) == []  # known by the same names
    declare(settings, f'[cdn]\npath = "{logs}"\n')  # another way to say where: the names stay
    put(logs / "us" / "error.txt", nginx(id="4"))
    assert taken(settings) == [("cdn", "us/error.txt", "taken")]


def test_a_relative_path_is_below_the_data_folder(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\npath = "incoming/*.log"\n')
    put(settings.data / "incoming" / "a.log", nginx())
    assert taken(settings) == [("cdn", "a.log", "taken")]


def test_the_landing_folder_itself_may_be_named_as_the_path(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\npath = "landing/cdn"\n')
    land(settings, nginx())
    assert taken(settings) == [("cdn", "a.log", "taken")]


def test_a_path_may_name_one_file(tmp_path: Path) -> None:
    path = put(tmp_path / "access.json", nginx())
    settings = declare(settings_of(tmp_path), f'[cdn]\npath = "{path}"\n')
    assert taken(settings) == [("cdn", "access.json", "taken")]
    assert out_of_reach(Sources.load(settings)) == {}


def test_a_path_that_does_not_exist_is_told_and_stops_no_other(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\npath = "/nowhere/x/*.log"\n')
    land(settings, nginx(), "edge")
    assert taken(settings) == [("edge", "a.log", "taken")]
    told = out_of_reach(Sources.load(settings))
    assert told == {"cdn": "/nowhere/x does not exist (setting path in sources.toml)"}


# --- what cannot be used


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[cdn]\nformat = "apache"',
            r"\[cdn\]: format = 'apache' cannot be used; allowed are auto, cloudfront, fastly, cloudflare, "
            "akamai, bunny, nginx, caddy, prefix",
        ),
        ('[cdn]\nclass = "cdn"', r"class = 'cdn' cannot be used; allowed are server_log, prefix"),
        (
            "[cdn]\nformats = 1",
            r"\[cdn\]: no such setting: formats; allowed are class, format, path, trusted_proxies, time_zone",
        ),
        ('[cdn]\nname = "x"', "no such setting: name"),
        ('[cdn]\nsource_class = "prefix"', "no such setting: source_class"),
        ("[cdn]\ntrusted_proxies = -1", "trusted_proxies = -1 cannot be used; allowed are whole numbers"),
        ("[cdn]\ntrusted_proxies = true", "trusted_proxies = True cannot be used; allowed are whole numbers"),
        ("[cdn]\ntrusted_proxies = 10", "trusted_proxies = 10 cannot be used; .* from 0 to 9"),
        ('[cdn]\ntime_zone = "Mars/Olympus"', "time_zone = 'Mars/Olympus' cannot be used; .* Europe/Berlin"),
        ('[cdn]\ntime_zone = "../../etc/passwd"', "time_zone = .* cannot be used"),
        ('[cdn]\ncomparable = "no"', "comparable = 'no' cannot be used; allowed are true, false"),
        ('[cdn]\npath = ""', "path = '' cannot be used; allowed are a folder or a pattern"),
        ("[cdn]\npath = ['/a', '/b']", "path = .* cannot be used"),
        ('[cdn]\npath = "/a\\u0000b"', "path = .* cannot be used"),
        ('["../x"]', "source name '../x' cannot be used"),
        ("[catalog]", "cannot be used"),
        ("cdn = 1", "must be a table"),
        ("[cdn", "cannot be read"),
        ("[cdn]\n[edge]\n[cdn]\n", r"\[cdn\]: this source is declared twice; allowed is once .*line 3"),
        ('[cdn]\nformat = "nginx"\nformat = "caddy"', r"\[cdn\]: format is declared twice; allowed is once"),
        ('[a]\n[b]\npath = "/x"\npath = "/y"\n[c]\n', r"\[b\]: path is declared twice; allowed is once"),
    ],
)
def test_a_declaration_that_cannot_be_used_says_which_setting_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    settings = declare(settings_of(tmp_path), text)
    with pytest.raises(SettingError, match=message) as error:
        Sources.load(settings)
    assert "sources.toml" in str(error.value) or "source name" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'class = "prefix"\nformat = "nginx"',
            "class = 'prefix' and format nginx exclude each other: allowed is class = 'server_log'",
        ),
        ('format = "bunny"\ntrusted_proxies = 1', "bunny has no X-Forwarded-For: allowed is 0; .*cloudfront"),
        (
            'format = "akamai"\ntime_zone = "Asia/Tokyo"',
            "times in akamai carry their zone: allowed is UTC; .* caddy",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_at_start(
    tmp_path: Path, text: str, message: str
) -> None:
    settings = declare(settings_of(tmp_path), f"[cdn]\n{text}\n")
    with pytest.raises(SettingError, match=message):
        Sources.load(settings)


@pytest.mark.parametrize(
    "text",
    ['format = "bunny"\ntrusted_proxies = 0\ntime_zone = "UTC"', 'format = "akamai"\ntime_zone = "UTC"'],
)
def test_a_default_that_is_written_out_contradicts_nothing(tmp_path: Path, text: str) -> None:
    assert Sources.load(declare(settings_of(tmp_path), f"[cdn]\n{text}\n")).declared


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/var/log/cdn", "/var/log/cdn"),
        ("/var/log/cdn", "/var/log/cdn/eu/*.log"),
        ("/var/log/*/access.log", "/var/log/nginx/*"),
        ("incoming/a*", "incoming/*b"),
    ],
)
def test_a_file_cannot_belong_to_two_sources(tmp_path: Path, one: str, other: str) -> None:
    settings = declare(settings_of(tmp_path), f'[a]\npath = "{one}"\n[b]\npath = "{other}"\n')
    with pytest.raises(SettingError) as error:
        Sources.load(settings)
    for part in ("[b]: path = ", repr(one), repr(other), "[a]", "allowed are paths that share no file"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "path", [".", "/", "landing", "landing/other/*.log", "lake/requests", "**/*.parquet"]
)
def test_a_path_over_the_installations_own_folders_is_refused(tmp_path: Path, path: str) -> None:
    settings = declare(settings_of(tmp_path), f'[cdn]\npath = "{path}"\n')
    with pytest.raises(SettingError, match="allowed are paths outside this installation's folders"):
        Sources.load(settings)


def test_a_path_for_a_source_that_also_has_files_in_landing_is_refused(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\npath = "/var/log/cdn"\n')
    assert Sources.load(settings).places
    land(settings, nginx())
    with pytest.raises(SettingError, match=r"\[cdn\]: path = '/var/log/cdn', but .*landing/cdn holds files"):
        Sources.load(settings)


@pytest.mark.parametrize(
    ("pattern", "link", "target"), [("b/**/*.log", "x.log", "a/eu/x.log"), ("b/*/*.log", "linked", "a/eu")]
)
def test_a_file_that_two_sources_reach_through_a_link_is_refused(
    tmp_path: Path, pattern: str, link: str, target: str
) -> None:
    settings = settings_of(tmp_path)
    declare(settings, f'[one]\npath = "a/**/*.log"\n[two]\npath = "{pattern}"\n')
    put(settings.data / "a" / "eu" / "x.log", nginx())
    own = put(settings.data / "b" / "own" / "x.log", nginx(id="2"))
    (settings.data / "b" / link).symlink_to(settings.data / target)
    with pytest.raises(SettingError, match=r"/b/.*x\.log of source 'two' and .*/a/eu/x\.log of source 'one'"):
        find_landing_files(settings)
    (settings.data / "b" / link).unlink()
    assert own in [file.path for file in find_landing_files(settings)]


def test_while_sources_toml_is_broken_nothing_is_taken_in_and_afterwards_everything(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    before = land(settings, nginx(id="1"), name="before.log")
    take(settings, before)
    ledger = Lake(settings.lake_dir).ledger()
    declare(settings, '[cdn]\nclass = "prefx"\n')
    landed = land(settings, nginx(id="2"), name="meanwhile.log")
    for attempt in (lambda: find_landing_files(settings), lambda: take(settings, landed)):
        with pytest.raises(SettingError, match="class = 'prefx' cannot be used"):
            attempt()
    assert Lake(settings.lake_dir).ledger().equals(ledger)
    declare(settings, '[cdn]\nclass = "server_log"\n')
    assert taken(settings) == [("cdn", "meanwhile.log", "taken")]
    assert Lake(settings.lake_dir).requests().collect().height == 2


def test_the_readmes_example_can_be_used_and_shows_every_setting(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (example,) = re.findall(r"```toml\n(\[cdn\].*?)```", readme, re.DOTALL)
    declared = Sources.load(declare(settings_of(tmp_path), example)).declared.values()
    shown = set().union(*(source.model_fields_set for source in declared))
    assert shown == set(Source.model_fields)
    assert f"# {Source.model_fields['format'].description}\n" in example


def test_no_declarations_are_fine(tmp_path: Path) -> None:
    assert Sources.load(settings_of(tmp_path)).get("cdn") == Source(name="cdn")
