"""Sources: a folder each under landing/, declared in <data>/sources.toml where that does not say it all.

[cdn]
class = "server_log"              # server_log | prefix; default: what the format says
format = "cloudfront"             # auto | one of ingest.logs.formats.FORMATS; default: auto
path = "/var/log/cdn/**/*.gz"     # a folder or pattern; default: landing/<name>
trusted_proxies = 1               # proxies of our own in front; default 0: X-Forwarded-For is not believed

[edge]
format = "caddy"
time_zone = "Europe/Berlin"       # of times that are written without one; default: UTC
comparable = false                # are its addresses whole? default: what the format says
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from ingest.logs.errors import FileRefused
from ingest.logs.formats import FORMATS, detect
from ingest.logs.formats.base import UTC, Format
from ingest.places import Place, files_below
from ingest.schema import SourceClass
from ingest.settings import HINTS, SettingError, Settings, TimeZone

AUTO = "auto"
FILE = "sources.toml"
CATALOG = "catalog"  # landing/catalog holds episode lists, not logs
NO_SOURCES = (CATALOG, HINTS)  # folders of landing that hold no logs
MOST_PROXIES = 9
_SAFE_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")  # becomes part of file names
_TABLE = re.compile(r"\s*\[([^\]]*)\]")


class Source(BaseModel):
    """What is declared of a source. A field's description is what a message says is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source_class: SourceClass | None = Field(default=None, alias="class", description=", ".join(SourceClass))
    format: str = Field(default=AUTO, description=", ".join((AUTO, *FORMATS)))
    path: str | None = Field(
        default=None, description="a folder or a pattern (* ? [] **), absolute or below the data folder"
    )
    trusted_proxies: Annotated[int, Field(ge=0, le=MOST_PROXIES, strict=True)] = Field(
        default=0, description=f"whole numbers from 0 to {MOST_PROXIES}"
    )
    time_zone: TimeZone = Field(default=UTC, description="IANA names such as UTC, Europe/Berlin")
    comparable: StrictBool | None = Field(default=None, description="true, false")

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (AUTO, *FORMATS):
            raise ValueError("no such format")
        return name

    @field_validator("path")
    @classmethod
    def _usable(cls, path: str | None) -> str | None:
        if path is not None and (not path.strip() or not path.isprintable()):
            raise ValueError("no path")
        return path

    @model_validator(mode="after")
    def _no_contradiction(self) -> Source:
        if self.format != AUTO and (wrong := self._contradicts(FORMATS[self.format])):
            raise ValueError(wrong)
        return self

    def _contradicts(self, log_format: Format) -> str | None:
        """What is declared that files of this format cannot be."""
        name, traits = log_format.NAME, log_format.TRAITS
        if self.source_class not in (None, log_format.SOURCE_CLASS):
            allowed = f"class = '{log_format.SOURCE_CLASS}'"
            return f"class = '{self.source_class}' and format {name} exclude each other: allowed is {allowed}"
        if self.trusted_proxies and not traits.forwarded_for:
            return (
                f"trusted_proxies = {self.trusted_proxies}, but {name} has no X-Forwarded-For: "
                f"allowed is 0; formats that have one are {_with('forwarded_for')}"
            )
        if self.time_zone != UTC and not traits.local_times:
            return (
                f"time_zone = '{self.time_zone}', but times in {name} carry their zone: "
                f"allowed is {UTC}; formats whose times may lack one are {_with('local_times')}"
            )
        return None

    def format_of(self, head: bytes) -> Format:
        """The format of one of its files. Raises FileRefused when it is not what was declared."""
        found = detect(head)
        # The two share their keys: a server may have paths below /e/, a prefix log may begin with others.
        alike = {found.NAME, self.format} == {"nginx", "prefix"}
        if self.format not in (AUTO, found.NAME) and not alike:
            raise FileRefused(f"file is {found.NAME}, source '{self.name}' is declared {self.format}")
        chosen = found if self.format == AUTO else FORMATS[self.format]
        if wrong := self._contradicts(chosen):
            raise FileRefused(f"file is {chosen.NAME}, which does not fit source '{self.name}': {wrong}")
        return chosen

    def is_comparable(self, log_format: Format | None) -> bool:
        """Can its listeners be compared with those of others, as far as it is known what its files are?"""
        if self.comparable is not None or log_format is None:
            return self.comparable is not False
        return log_format.TRAITS.whole_addresses


def _with(trait: str) -> str:
    return ", ".join(name for name, known in FORMATS.items() if getattr(known.TRAITS, trait))


@dataclass(frozen=True)
class Sources:
    """All declared sources; one that is not declared is told by its files."""

    declared: dict[str, Source]
    places: dict[str, Place] = field(default_factory=dict)  # of those with a path of their own

    @classmethod
    def load(cls, settings: Settings) -> Sources:
        """From `<data>/sources.toml`, which may be absent. Raises SettingError with what is allowed."""
        path = settings.data / FILE
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return cls({})
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{FILE} cannot be read: {error}") from error
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingError(f"{FILE} {_unreadable(text, str(error))}") from error
        declared = {name: _declared(name, table) for name, table in content.items()}
        sources = cls(declared, dict(_places(declared, settings)))
        for wrong in _conflicts(sources, settings):
            raise SettingError(f"{FILE} {wrong}")
        return sources

    def get(self, name: str) -> Source:
        """The source of this name. Raises SettingError for a name that cannot be one."""
        return self.declared.get(name) or Source(name=safe_name(name))


def safe_name(name: str) -> str:
    """`name`, if it can name a source. Raises SettingError."""
    if not _SAFE_NAME.fullmatch(name) or name in NO_SOURCES:
        raise SettingError(
            f"source name {name!r} cannot be used: allowed are a-z, 0-9, _ and -, at most 64, "
            f"not {' and '.join(repr(folder) for folder in NO_SOURCES)}"
        )
    return name


def _unreadable(text: str, error: str) -> str:
    """What is wrong with `text`, by tomllib's error; it names neither table nor key of what stands twice."""
    if not re.match(r"Cannot (?:declare|overwrite|mutate)", error):
        return f"cannot be read: {error}"
    at = re.search(r"line ([0-9]+)", error)
    lines = text.splitlines()[: int(at[1]) if at else None]
    table = next((found[1] for line in reversed(lines) if (found := _TABLE.match(line))), "")
    key = lines[-1].partition("=")[0].strip()
    what = "this source" if _TABLE.match(lines[-1]) else key
    return f"[{table}]: {what} is declared twice; allowed is once ({error})"


def _declared(name: str, table: object) -> Source:
    safe_name(name)
    if not isinstance(table, dict):
        raise SettingError(f"{FILE}: {name!r} must be a table: [{name}]")
    keys = {info.alias or key: info for key, info in Source.model_fields.items() if key != "name"}
    unknown = sorted(set(table) - set(keys))
    if unknown:
        raise SettingError(f"{FILE} [{name}]: no such setting: {unknown[0]}; allowed are {', '.join(keys)}")
    try:
        return Source.model_validate({**table, "name": name})
    except ValidationError as error:
        raise SettingError(f"{FILE} [{name}]: {_told(error, table, keys)}") from error


def _told(error: ValidationError, table: dict[str, Any], keys: dict[str, Any]) -> str:
    """The first error: which setting, its value, what is allowed."""
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    key = str(first["loc"][0])
    return f"{key} = {table[key]!r} cannot be used; allowed are {keys[key].description}"


def _places(declared: dict[str, Source], settings: Settings) -> Iterator[tuple[str, Place]]:
    for name, source in declared.items():
        if source.path is not None:
            place = Place.of(source.path, settings.data)
            if place != _landing(name, settings):
                yield name, place


def _landing(name: str, settings: Settings) -> Place:
    return Place.at(settings.landing_dir / name)


def _conflicts(sources: Sources, settings: Settings) -> Iterator[str]:
    """Paths by which a file would belong to two sources, or to none."""
    own = [settings.landing_dir, settings.lake_dir, settings.keys_dir, settings.published_dir]
    for name, place in sources.places.items():
        said = f"[{name}]: path = {sources.declared[name].path!r}"
        for folder in own:
            if place.shares_files_with(Place.at(folder)):
                yield f"{said} has files in {folder}; allowed are paths outside this installation's folders"
        folder = _landing(name, settings).root
        if any(files_below(folder)):
            yield (
                f"{said}, but {folder} holds files of this source too; allowed is one of the two: "
                "move the files, or remove the path"
            )
    for (name, place), (other, others) in combinations(sources.places.items(), 2):
        if place.shares_files_with(others):
            yield (
                f"[{other}]: path = {sources.declared[other].path!r} overlaps path = "
                f"{sources.declared[name].path!r} of [{name}]: a file would belong to both; "
                "allowed are paths that share no file"
            )
