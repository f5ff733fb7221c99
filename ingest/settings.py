"""Every setting, once: its name, default, allowed values. Read from `EARSHOT_<NAME>` in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

PREFIX = "EARSHOT_"
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")
HINTS = "hints"  # landing/hints holds notices of changed feeds, not logs


class Window(StrEnum):
    """How repeated requests of one listener and episode become one download (IAB 2.3 §5.5.1)."""

    CALENDAR = "calendar"
    FIRST_TOUCH = "first_touch"
    LAST_TOUCH = "last_touch"


class SettingError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


STRAY_AT = "in a user or password @ is written %40, / is %2F and : is %3A; the address itself is not shown"


def has_stray_at(host: str | None, database: str | None) -> bool:
    """Whether a part of a password stands where a server's or database's name should, and would be shown."""
    return "@" in f"{host or ''}{database or ''}"


def _known_zone(name: str) -> str:
    # Not ZoneInfo(name) alone: that opens whatever file the name leads to. Two names stand for no place.
    if name != "UTC" and name not in available_timezones() - {"Factory", "localtime"}:
        raise ValueError("no such time zone; allowed are IANA names such as UTC, Europe/Berlin")
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


def _host_names(text: str) -> str:
    # They go into nginx's configuration, and into regexes.
    for host in filter(None, map(str.strip, text.split(","))):
        if not _HOST_NAME.fullmatch(host):
            raise ValueError(f"{host!r} is no host such as pfx.example.net")
    return text


HostNames = Annotated[str, AfterValidator(_host_names)]


Model = TypeVar("Model", bound=BaseModel)


def read_settings(
    model: type[Model], prefix: str, environ: Mapping[str, str] | None, given: Mapping[str, object]
) -> Model:
    """Settings from variables `<prefix><NAME>`, overridden by `given`. Raises SettingError.

    What is no part of a model's repr is a secret: the error does not show it.
    """
    env, fields = os.environ if environ is None else environ, model.model_fields
    values = {name: env[prefix + name.upper()] for name in fields if env.get(prefix + name.upper())}
    try:
        return model.model_validate({**values, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        is_secret = name in fields and not fields[name].repr
        shown = "…" if is_secret else repr(first["input"])
        told = f"setting {prefix}{name.upper()} = {shown} cannot be used: {first['msg']}"
        raise SettingError(told) from None


class Settings(BaseModel):
    """The settings of one installation; frozen, so that a run cannot change its own rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(default=Path(".earshot"), description="the one data folder")
    landing: Path | None = Field(default=None, description="where log files arrive; <data>/landing")
    registry: str | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="database URL of the registry, sqlite:/// or postgresql://; <data>/registry.db",
    )
    dagster_db: str | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="PostgreSQL of Dagster's own records (schema dagster), postgresql://; SQLite in <data>",
    )
    reference_dir: Path | None = Field(
        default=None, description="folder with reference lists, for example opawg/"
    )
    country_db: Path | None = Field(
        default=None, description="address database that tells countries (.mmdb, or a table of ranges)"
    )
    network_db: Path | None = Field(
        default=None, description="address database that tells networks; may be the same file"
    )
    prefix_hosts: HostNames = Field(
        default="", description="hosts of our own prefix redirect, comma-separated: /e/… is unwound there"
    )
    window: Window = Field(default=Window.CALENDAR, description="the published download window")
    time_zone: TimeZone = Field(
        default="UTC",
        description="IANA name: in which zone a calendar day, and every date in the marts, begins",
    )

    flag_mads: Annotated[float, Field(gt=0)] = Field(
        default=6,
        description="R12: how many scaled MADs above the day's median an address or agent is flagged",
    )
    flag_min_downloads: Annotated[int, Field(ge=10)] = Field(
        default=50, description="R12: nobody with fewer downloads a day is flagged"
    )
    reconciliation_tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="R35: within this share of the larger count two sources agree"
    )
    publisher_contact: str = Field(
        default="", description="whom to ask about the methodology; stands in its statement"
    )

    feed_test_hosts: str = Field(
        default="",
        description="names, addresses and networks feeds may come from although they are private",
    )
    feed_resolve: Path | None = Field(
        default=None,
        description="JSON file, host name → address:port, used instead of DNS; for tests",
    )

    webhook_test_hosts: str = Field(
        default="",
        description="names, addresses and networks webhook endpoints may have although they are private",
    )
    webhook_keep_days: Annotated[int, Field(ge=1)] = Field(
        default=30, description="delivered and given up webhooks can be looked up and replayed for so long"
    )

    dagster_url: str | None = Field(
        default=None, description="where people open Dagster's UI, for links in alerts: https://…"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="of our own processes' logs: text, or json, an object a line"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what less matters is not logged"
    )
    docs_url: str | None = Field(
        default=None,
        description="where people read this repository's docs folder, for links in alerts: https://…/docs",
    )
    alert_email_to: str = Field(
        default="", description="who gets alerts by e-mail, comma-separated; none: no e-mail is sent"
    )
    alert_email_from: str | None = Field(
        default=None, description="the sender of those e-mails; the first of alert_email_to"
    )
    alert_smtp_host: str = Field(default="", description="the mail server that takes them")
    alert_smtp_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="its port; 587 for starttls, 465 for tls, 25 for none"
    )
    alert_smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls, tls; none to a server on this machine"
    )
    alert_smtp_user: str | None = Field(default=None, description="login at the mail server; none: no login")
    alert_smtp_password: str | None = Field(default=None, repr=False, description="of that login")
    alert_webhook_url: str | None = Field(
        default=None,
        repr=False,  # its path may be a token
        description="who gets alerts as signed webhooks, https://… (http on this machine)",
    )
    alert_webhook_secret: str | None = Field(
        default=None, repr=False, description="signs them, whsec_…: `earshot new-secret`"
    )
    alert_again_h: Annotated[float, Field(gt=0, le=720)] = Field(
        default=6, description="the same alert is told again after so many hours, sooner if it gets worse"
    )
    alert_disk_gb: Annotated[float, Field(ge=0)] = Field(
        default=20, description="an alert tells of a disk with less free space than this"
    )
    alert_reject_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="an alert tells of a source with a larger share of rejects within 24 h"
    )

    max_line_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=65_536, description="a field longer than this makes its line a reject"
    )
    max_file_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=32 * 2**30, description="a landing file that unpacks to more is refused"
    )
    max_ratio: Annotated[float, Field(ge=2)] = Field(
        default=300,
        description="a landing file that unpacks to more than this many times its size is refused",
    )
    segment_bytes: Annotated[int, Field(ge=4096)] = Field(
        default=64 * 2**20, description="unpacked bytes cleaned at a time; bounds memory"
    )
    max_reject_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="a file with a larger share of rejects is held back from the marts"
    )
    min_rejects_to_hold: Annotated[int, Field(ge=1)] = Field(
        default=20, description="a file with fewer rejects is not held back: a quiet hour is no wrong file"
    )
    max_future_h: Annotated[float, Field(ge=0)] = Field(
        default=48, description="a request later than this many hours after intake is a reject"
    )
    settle_s: Annotated[float, Field(ge=0)] = Field(
        default=2, description="a landing file is taken in once it has not changed for this long"
    )
    compact_after_h: Annotated[float, Field(ge=0)] = Field(
        default=36, description="small lake files of a UTC day are merged once it ended so many hours ago"
    )
    keep_days: Annotated[int, Field(ge=0)] = Field(
        default=210,
        description="requests, downloads, listeners' keys older than so many days go once they are counted; "
        "sums stay; 0: never",
    )
    duckdb_memory: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?[KMGT]i?B$")] = Field(
        default="3GB", description="what counting may hold in memory; beyond it, it uses the disk"
    )
    keep_rejects_days: Annotated[int, Field(ge=0)] = Field(
        default=30,
        description="lines that could not be read are removed so many days after their intake; 0: never",
    )
    keep_landing_days: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="landing files, which name addresses, are removed so many days after they were taken in; "
        "0: never, they are the operator's",
    )
    late_days: Annotated[int, Field(ge=1, le=180)] = Field(
        default=14,
        description="how many days after its 30 days and the overlap a key is kept for late log files, then "
        "it is destroyed: later lines are rejects",
    )
    keys_command: str | None = Field(
        default=None,
        repr=False,  # may name a token
        description="command that prints the key of an epoch, its argument, as 64 hex digits; <data>/keys",
    )
    marts_db: str | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="PostgreSQL that gets the shared marts as its schema `marts`, postgresql://; none",
    )
    marts_db_reader: str | None = Field(
        default=None, description="role of that PostgreSQL which may read them; it must be there"
    )
    keep_versions: Annotated[int, Field(ge=1)] = Field(
        default=3, description="published versions kept for readers that still hold an old one"
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: object) -> Settings:
        """Settings from `EARSHOT_*` variables, overridden by `given`. Raises SettingError."""
        given = {name: value for name, value in given.items() if value is not None}
        return read_settings(cls, PREFIX, environ, given)

    @property
    def landing_dir(self) -> Path:
        """Where sources drop their files: one folder a source."""
        return self.landing or self.data / "landing"

    @property
    def hints_dir(self) -> Path:
        """Where notices of changed feeds arrive: one folder a source of them."""
        return self.landing_dir / HINTS

    @property
    def lake_dir(self) -> Path:
        return self.data / "lake"

    @property
    def keys_dir(self) -> Path:
        """Secret keys of the listener hash, one file a key epoch."""
        return self.data / "keys"

    @property
    def warehouse(self) -> Path:
        """Opened only by dbt and the publisher."""
        return self.data / "warehouse.duckdb"

    @property
    def published_dir(self) -> Path:
        return self.data / "published"
