"""What is declared of a source, and what happens when its files are something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.settings import SettingError, Settings
from ingest.sources import Source, Sources
from tests.ingest.samples import cloudfront, cloudfront_header, land, nginx, settings_of, take

PREFIX_LINE = nginx(uri="/e/media.example.fm/1.mp3", status=302)


def declare(settings: Settings, text: str) -> Settings:
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / "sources.toml").write_text(text)
    return settings


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


def test_a_file_of_another_class_than_declared_is_refused(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\nclass = "prefix"\n')
    report = take(settings, land(settings, cloudfront_header() + cloudfront()))
    assert report.files["reason"].to_list() == [
        "file is cloudfront, a server_log format; source 'cdn' is declared prefix"
    ]


def test_a_declared_prefix_log_may_begin_with_other_lines(tmp_path: Path) -> None:
    settings = declare(settings_of(tmp_path), '[cdn]\nformat = "prefix"\n')
    report = take(settings, land(settings, nginx(uri="/healthz") * 3 + PREFIX_LINE))
    assert report.files.select("format", "status").rows() == [("prefix", "taken")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[cdn]\nformat = "apache"',
            "format 'apache' is unknown; allowed are auto, cloudfront, nginx, caddy, prefix",
        ),
        ('[cdn]\nclass = "cdn"', "class 'cdn' is unknown; allowed are server_log, prefix"),
        ('[cdn]\nclass = "prefix"\nformat = "nginx"', "format nginx is of class server_log, not prefix"),
        ("[cdn]\nformats = 1", r"unknown \['formats'\]; allowed are class and format"),
        ('["../x"]', "source name '../x' cannot be used"),
        ("[catalog]", "cannot be used"),
        ("cdn = 1", "must be a table"),
        ("[cdn", "cannot be read"),
    ],
)
def test_a_declaration_that_cannot_be_used_says_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    settings = declare(settings_of(tmp_path), text)
    with pytest.raises(SettingError, match=message):
        Sources.load(settings.data)


def test_no_declarations_are_fine(tmp_path: Path) -> None:
    assert Sources.load(tmp_path).get("cdn") == Source("cdn")
