"""Where each list of this installation comes from: `<data>/reference.toml`, else the catalogue's defaults.

[datacenters]
urls = ["https://…/ip-ranges.json"]      # or url, or path: one of the three
max_age_days = 14
[excluded_addresses]
path = "/etc/earshot/excluded.csv"       # default: excluded_addresses.csv in the data folder
[bogus_referrers]
use = false                              # neither fetched nor used
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ingest.reference.lists import LISTS, ListSpec
from ingest.settings import SettingError, Settings
from ingest.web import LOCAL_HOSTS

FILE = "reference.toml"
_KEYS = ("url", "urls", "path", "max_age_days", "use")
_MAX_URLS = 20


@dataclass(frozen=True)
class Source:
    """Where one list comes from: addresses, or paths of local files. Neither: it is not set up."""

    spec: ListSpec
    urls: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    max_age_days: float = 7
    is_used: bool = True

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def origin(self) -> str:
        """In words for a person: the address or file, of a set the folder."""
        if self.paths:
            return str(self.paths[0].parent if len(self.paths) > 1 else self.paths[0])
        folders = dict.fromkeys(url.rpartition("/")[0] + "/" for url in self.urls)
        return ", ".join(self.urls if len(folders) == len(self.urls) else folders)

    def file_names(self) -> list[str]:
        """Under which names the files of `urls` are kept."""
        if self.spec.files:
            return list(self.spec.files)
        last_parts = (urlsplit(url).path.rpartition("/")[2] for url in self.urls)
        plain = [
            "".join(sign for sign in part if sign.isalnum() or sign in "-_.")[-60:] for part in last_parts
        ]
        return [f"{number}-{part}" for number, part in enumerate(plain, 1)]


def sources(settings: Settings) -> dict[str, Source]:
    """Every list of the catalogue by name. Raises SettingError naming the key and what is allowed."""
    declared = _tables(settings.data / FILE)
    if unknown := sorted(set(declared) - set(LISTS)):
        raise SettingError(f"{FILE}: there is no list {unknown[0]!r}; allowed are {', '.join(LISTS)}")
    return {name: _source(spec, declared.get(name, {}), settings.data) for name, spec in LISTS.items()}


def _tables(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{FILE} cannot be read: {error}") from error


def _source(spec: ListSpec, table: object, data: Path) -> Source:
    where = f"{FILE} [{spec.name}]"
    if not isinstance(table, dict):
        raise SettingError(f"{FILE}: {spec.name!r} must be a table: [{spec.name}]")
    if unknown := sorted(set(table) - set(_KEYS)):
        raise SettingError(f"{where}: unknown {unknown[0]!r}; allowed are {', '.join(_KEYS)}")
    given = [key for key in ("url", "urls", "path") if key in table]
    if len(given) > 1:
        raise SettingError(f"{where}: {' and '.join(given)} contradict each other; give one of them")
    is_used = table.get("use", True)
    if not isinstance(is_used, bool):
        raise SettingError(f"{where}: use = {is_used!r} cannot be used; allowed are true and false")
    max_age_days = table.get("max_age_days", spec.max_age_days)
    if (
        isinstance(max_age_days, bool)
        or not isinstance(max_age_days, int | float)
        or not 0 < max_age_days <= 3650
    ):
        raise SettingError(
            f"{where}: max_age_days = {max_age_days!r} cannot be used; allowed is a number of days up to 3650"
        )
    if "path" in table:
        return Source(spec, (), _paths(spec, table["path"], data, where), max_age_days, is_used)
    if given:
        return Source(spec, _urls(spec, table[given[0]], f"{where}: {given[0]}"), (), max_age_days, is_used)
    # The operator's own lists lie in the data folder unless a table says otherwise.
    paths = tuple(spec.paths(data)) if spec.is_own else ()
    return Source(spec, spec.urls, paths, max_age_days, is_used)


def _paths(spec: ListSpec, value: object, data: Path, where: str) -> tuple[Path, ...]:
    if not isinstance(value, str) or not value.strip():
        wanted = f"a folder with {', '.join(spec.files)}" if spec.files else "a file"
        raise SettingError(f"{where}: path = {value!r} cannot be used; allowed is the path of {wanted}")
    path = data / value  # relative to the data folder, unless absolute
    return tuple(path / file for file in spec.files) if spec.files else (path,)


def _urls(spec: ListSpec, value: object, where: str) -> tuple[str, ...]:
    urls = [value] if isinstance(value, str) else value
    if not isinstance(urls, list) or not urls or len(urls) > _MAX_URLS:
        raise SettingError(
            f"{where} = {value!r} cannot be used; allowed are up to {_MAX_URLS} https addresses"
        )
    for url in urls:
        refuse_unsafe(url, where)
    if len(set(urls)) < len(urls):
        raise SettingError(f"{where} names an address twice")
    if not spec.files:
        return tuple(urls)
    if len(urls) == 1:  # a set is named by the address of its folder
        return tuple(f"{urls[0].rstrip('/')}/{file}" for file in spec.files)
    by_file = {urlsplit(url).path.rpartition("/")[2]: url for url in urls}
    if set(by_file) != set(spec.files):
        raise SettingError(
            f"{where}: the list is a set; allowed is the address of the folder that holds "
            f"{', '.join(spec.files)}, or the address of each"
        )
    return tuple(by_file[file] for file in spec.files)


def refuse_unsafe(url: object, where: str) -> None:
    """Only https, but for this machine itself. Raises SettingError."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL_HOSTS)
    if not is_safe or not host or parts.username or parts.password or parts.fragment:
        raise SettingError(
            f"{where} = {url!r} cannot be used; allowed are https addresses without a password "
            f"(http only on {', '.join(LOCAL_HOSTS)})"
        )
