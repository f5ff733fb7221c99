"""reference.toml: every mistake is told with the key and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingest.logs.rules import Rules
from ingest.reference.declared import sources
from ingest.settings import SettingError, Settings


def declared(tmp_path: Path, toml: str) -> Settings:
    (tmp_path / "reference.toml").write_text(toml)
    return Settings(data=tmp_path)


def test_without_settings_the_public_lists_are_fetched_and_the_operators_own_are_not_set_up(
    tmp_path: Path,
) -> None:
    found = sources(Settings(data=tmp_path))
    assert len(found["agents"].urls) == 6
    assert all(url.startswith("https://") for source in found.values() for url in source.urls)
    assert [name for name, source in found.items() if not source.urls and not source.paths] == [
        "bogus_referrers",
        "excluded_addresses",
        "included_addresses",
    ]


def test_the_operators_own_lists_lie_in_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "included_addresses.csv").write_text("")
    found = sources(Settings(data=tmp_path))
    assert found["included_addresses"].paths == (tmp_path / "included_addresses.csv",)


def test_a_set_is_named_by_its_folder_or_by_each_file(tmp_path: Path) -> None:
    one = sources(declared(tmp_path, '[agents]\nurl = "https://lists.test/opawg/"\n'))["agents"]
    assert one.urls[1] == "https://lists.test/opawg/apps.json"
    assert one.origin == "https://lists.test/opawg/"
    each = "".join(f'"{url}",' for url in reversed(one.urls))
    assert sources(declared(tmp_path, f"[agents]\nurls = [{each}]\n"))["agents"].urls == one.urls
    local = sources(declared(tmp_path, '[agents]\npath = "mine"\n'))["agents"]
    assert local.paths[0] == tmp_path / "mine" / "bots.json"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[robots]\n", "there is no list 'robots'; allowed are agents, prefixes, datacenters"),
        ("agents = 1\n", "'agents' must be a table: [agents]"),
        ("[agents\n", "reference.toml cannot be read"),
        ('[agents]\nuri = "x"\n', "[agents]: unknown 'uri'; allowed are url, urls, path, max_age_days, use"),
        (
            '[prefixes]\nurl = "https://a.test/x"\npath = "y"\n',
            "[prefixes]: url and path contradict each other; give one of them",
        ),
        (
            '[prefixes]\nurl = "http://a.test/x"\n',
            "url = 'http://a.test/x' cannot be used; allowed are https",
        ),
        ('[prefixes]\nurl = "http://localhost.a.test/x"\n', "allowed are https"),
        ('[prefixes]\nurl = "file:///etc/passwd"\n', "allowed are https"),
        ('[prefixes]\nurl = "https://user:secret@a.test/x"\n', "without a password"),
        ('[prefixes]\nurl = "https://[::1/x"\n', "allowed are https"),
        ('[prefixes]\nurl = "https://a.test:port/x"\n', "allowed are https"),
        ("[prefixes]\nurl = 7\n", "url = 7 cannot be used"),
        ("[datacenters]\nurls = []\n", "urls = [] cannot be used; allowed are up to 20 https addresses"),
        ('[datacenters]\nurls = ["https://a.test", "https://a.test"]\n', "urls names an address twice"),
        (
            '[agents]\nurls = ["https://a.test/x", "https://a.test/y"]\n',
            "the list is a set; allowed is the address",
        ),
        ('[excluded_addresses]\npath = ""\n', "path = '' cannot be used; allowed is the path of a file"),
        ("[agents]\npath = 1\n", "allowed is the path of a folder with bots.json"),
        ("[agents]\nmax_age_days = 0\n", "max_age_days = 0 cannot be used; allowed is a number of days"),
        ("[agents]\nmax_age_days = true\n", "max_age_days = True cannot be used"),
        ("[agents]\nmax_age_days = nan\n", "max_age_days = nan cannot be used"),
        ('[agents]\nuse = "no"\n', "use = 'no' cannot be used; allowed are true and false"),
    ],
)
def test_a_mistake_is_told_with_key_and_allowed_values(tmp_path: Path, toml: str, told: str) -> None:
    settings = declared(tmp_path, toml)
    for start in (sources, Rules.load):
        with pytest.raises(SettingError) as caught:
            start(settings)
        assert told in str(caught.value)
        assert "reference.toml" in str(caught.value)


def test_the_readmes_example_can_be_used(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (example,) = re.findall(r"```toml\n(\[agents\].*?)```", readme, re.DOTALL)
    found = sources(declared(tmp_path, example))
    assert found["agents"].urls[0] == "https://lists.example/opawg/bots.json"
    assert (len(found["datacenters"].urls), found["datacenters"].max_age_days) == (2, 14)
    assert not found["bogus_referrers"].is_used
