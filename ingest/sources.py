"""Sources: one folder a source under landing/, declared in <data>/sources.toml where it is not obvious.

[cdn]
class = "server_log"      # server_log | prefix; default: what the format says
format = "cloudfront"     # auto | one of ingest.logs.formats.FORMATS; default: auto
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ingest.logs.errors import FileRefused
from ingest.logs.formats import FORMATS, detect
from ingest.logs.formats.base import Format
from ingest.schema import SourceClass
from ingest.settings import SettingError

AUTO = "auto"
FILE = "sources.toml"
CATALOG = "catalog"  # landing/catalog holds episode lists, not logs
_SAFE_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")  # becomes part of file names


@dataclass(frozen=True)
class Source:
    """What is declared of a source; None: told by the files."""

    name: str
    source_class: SourceClass | None = None
    format: str = AUTO

    def format_of(self, head: bytes) -> Format:
        """The format of one of its files. Raises FileRefused when it is not what was declared."""
        found = detect(head)
        # The two share their keys: a server may have paths below /e/, a prefix log may begin with others.
        alike = {found.NAME, self.format} == {"nginx", "prefix"}
        if self.format not in (AUTO, found.NAME) and not alike:
            raise FileRefused(f"file is {found.NAME}, source '{self.name}' is declared {self.format}")
        chosen = found if self.format == AUTO else FORMATS[self.format]
        if self.source_class not in (None, chosen.SOURCE_CLASS):
            raise FileRefused(
                f"file is {chosen.NAME}, a {chosen.SOURCE_CLASS} format; "
                f"source '{self.name}' is declared {self.source_class}"
            )
        return chosen


@dataclass(frozen=True)
class Sources:
    """All declared sources; a source that is not declared is told by its files."""

    declared: dict[str, Source]

    @classmethod
    def load(cls, data: Path) -> Sources:
        """From `<data>/sources.toml`, which may be absent. Raises SettingError with what is allowed."""
        path = data / FILE
        if not path.is_file():
            return cls({})
        try:
            content = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingError(f"sources.toml cannot be read: {error}") from error
        return cls({name: _declared(name, table) for name, table in content.items()})

    def get(self, name: str) -> Source:
        """The source of this name. Raises SettingError for a name that cannot be one."""
        return self.declared.get(name) or Source(safe_name(name))


def safe_name(name: str) -> str:
    """`name`, if it can name a source. Raises SettingError."""
    if not _SAFE_NAME.fullmatch(name) or name == CATALOG:
        raise SettingError(
            f"source name {name!r} cannot be used: allowed are a-z, 0-9, _ and -, at most 64, not '{CATALOG}'"
        )
    return name


def _declared(name: str, table: object) -> Source:
    safe_name(name)
    if not isinstance(table, dict):
        raise SettingError(f"sources.toml: {name!r} must be a table: [{name}]")
    unknown = set(table) - {"class", "format"}
    if unknown:
        raise SettingError(f"sources.toml [{name}]: unknown {sorted(unknown)}; allowed are class and format")
    source_class, format_name = table.get("class"), table.get("format", AUTO)
    if format_name not in (AUTO, *FORMATS):
        raise SettingError(
            f"sources.toml [{name}]: format {format_name!r} is unknown; "
            f"allowed are {', '.join((AUTO, *FORMATS))}"
        )
    if source_class is not None and source_class not in list(SourceClass):
        raise SettingError(
            f"sources.toml [{name}]: class {source_class!r} is unknown; allowed are {', '.join(SourceClass)}"
        )
    declared = SourceClass(source_class) if source_class is not None else None
    if declared and format_name != AUTO and declared != FORMATS[format_name].SOURCE_CLASS:
        raise SettingError(
            f"sources.toml [{name}]: format {format_name} is of class {FORMATS[format_name].SOURCE_CLASS}, "
            f"not {declared}"
        )
    return Source(name, declared, format_name)
