"""The settings of the prefix: `EARSHOT_EDGE_<NAME>`, beside those of the installation."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ingest.settings import PREFIX, SettingError, Settings, read_settings
from ingest.sources import safe_name

EDGE_PREFIX = f"{PREFIX}EDGE_"

# These end up in nginx's configuration: nothing that could end a directive or a quotation.
_PATH = re.compile(r"[^\s\"'\\;{}$#]+")
_LISTEN = re.compile(r"(?P<address>[0-9.]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")


def listed(text: str) -> list[str]:
    """The members of a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _addresses(text: str) -> str:
    for one in listed(text):
        found = _LISTEN.fullmatch(one)
        try:
            if found is None or not 0 < int(found["port"]) < 65_536:
                raise ValueError
            ipaddress.ip_address(found["address"].strip("[]"))
        except ValueError:
            raise ValueError(f"{one!r} is no address:port such as 0.0.0.0:80 or [::]:80") from None
    return text


def _networks(text: str) -> str:
    for one in listed(text):
        ipaddress.ip_network(one)
    return text


def _path(path: Path | None) -> Path | None:
    if path is not None and not _PATH.fullmatch(str(path)):
        raise ValueError("nginx cannot be told of a path with spaces, quotes, \\ ; { } $ or #")
    return path


Listen = Annotated[str, AfterValidator(_addresses)]
ConfiguredPath = Annotated[Path | None, AfterValidator(_path)]


class EdgeSettings(BaseModel):
    """How the prefix answers; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: Settings = Field(default_factory=Settings)
    dir: ConfiguredPath = Field(
        default=None, description="configuration and open log; on the landing folder's disk; <data>/edge"
    )
    source: Annotated[str, AfterValidator(safe_name)] = Field(
        default="edge", description="folder below landing that gets the log, a file a minute"
    )
    listen: Listen = Field(default="0.0.0.0:80,[::]:80", description="HTTP: addresses, comma-separated")
    listen_tls: Listen = Field(
        default="0.0.0.0:443,[::]:443", description="HTTPS, where there is a certificate"
    )
    certificate: ConfiguredPath = Field(default=None, description="its chain, PEM")
    certificate_key: ConfiguredPath = Field(default=None, description="its key, PEM")
    hosts: str = Field(
        default="", description="hosts to send on to beside the registered enclosures', comma-separated"
    )
    rate: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=50, description="requests a second of one address (IPv6: one /64); 0: no limit"
    )
    burst: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=500, description="so many at once are let through above that"
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        default="", description="networks of proxies in front whose X-Forwarded-For is believed"
    )
    workers: Annotated[int, Field(ge=0, le=256)] = Field(default=0, description="processes; 0: one a core")
    nginx: ConfiguredPath = Field(default=None, description="the nginx to use; the one found")
    patience_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=20, description="how long a rotation waits for nginx to let go of the old log"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: object) -> EdgeSettings:
        """Settings from the environment, overridden by `given`. Raises SettingError."""
        given = {"platform": Settings.from_env(environ), **given}
        found = read_settings(cls, EDGE_PREFIX, environ, given)
        if (found.certificate is None) != (found.certificate_key is None):
            raise SettingError(
                f"{EDGE_PREFIX}CERTIFICATE and {EDGE_PREFIX}CERTIFICATE_KEY go together: set both or neither"
            )
        if not _PATH.fullmatch(str(found.folder)):
            raise SettingError(
                f"nginx cannot be told of {found.folder}: set {EDGE_PREFIX}DIR to a path without spaces, "
                "quotes, \\ ; { } $ and #"
            )
        return found

    @property
    def folder(self) -> Path:
        """Configuration, open log, pid; absolute."""
        return (self.dir or self.platform.data / "edge").absolute()

    @property
    def landing(self) -> Path:
        """Where closed logs are published; absolute."""
        return (self.platform.landing_dir / self.source).absolute()

    @property
    def log(self) -> Path:
        """The log nginx writes to."""
        return self.folder / "log" / "open.json"

    @property
    def pid_file(self) -> Path:
        return self.folder / "nginx.pid"

    @property
    def configuration(self) -> Path:
        """What nginx is started with; `current` is a link that a render switches."""
        return self.folder / "current" / "nginx.conf"
