"""Which sources are on, and how they are used: `<data>/feed_sources.toml`. By default: notice files alone.

[podping]                                  # files in landing/hints/podping/
on = true
[websub]                                   # files in landing/hints/websub/; subscribing needs a callback
on = true
callback = "https://podcasts.example/v1/hints/websub"
secret_env = "EARSHOT_WEBSUB_SECRET"
[podcastindex_changes]                     # the change file, no key needed
on = true
[podcastindex]                             # the API
on = true
key_env = "PODCASTINDEX_KEY"               # the *names* of environment variables, never the keys themselves
secret_env = "PODCASTINDEX_SECRET"
[apple]
on = true
country = "DE"
calls_per_minute = 15
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError

from ingest.feeds.sources import apple, change_file, podcastindex, websub
from ingest.feeds.sources.budget import MAX_PER_MINUTE, Limits
from ingest.reference.declared import refuse_unsafe
from ingest.settings import SettingError, Settings

FILE = "feed_sources.toml"
BUDGET_FILE = "feed_budgets.json"  # in the data folder
MIN_SECRET_CHARS = 16


def _safe_address(url: str) -> str:
    try:
        refuse_unsafe(url, "address")
    except SettingError:
        raise ValueError("no https address") from None
    return url


Address = Annotated[str, AfterValidator(_safe_address)]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
PerMinute = Annotated[int, Field(ge=1, le=MAX_PER_MINUTE, strict=True)]
PerDay = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]

_ON = "true, false"
_ADDRESS = "an https address without a password (http only on this machine)"
_ENV = "the name of an environment variable (letters, digits, _): never the secret itself"
_MINUTE = f"whole numbers from 1 to {MAX_PER_MINUTE}"
_DAY = "whole numbers from 1 to 10000000"


class _Table(BaseModel):
    """A source. A field's description is what a message says is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: StrictBool = Field(default=False, description=_ON)


class NoticeFiles(_Table):
    """A source whose notices come as files."""

    on: StrictBool = Field(default=True, description=_ON)
    settle_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=2, description="seconds from 0 to 3600: a file unchanged for this long is read"
    )
    keep_days: Annotated[float, Field(ge=0, le=365)] = Field(
        default=7,
        description="days from 0 to 365: read files are kept for this long, and known if they come again",
    )


class _Called(_Table):
    """A source that is called."""

    calls_per_minute: PerMinute = Field(default=20, description=_MINUTE)
    calls_per_day: PerDay = Field(default=10_000, description=_DAY)

    @property
    def limits(self) -> Limits:
        return Limits(self.calls_per_minute, self.calls_per_day)


class WebSub(NoticeFiles, _Called):
    """Budgets are of each hub."""

    callback: Address | None = Field(default=None, description=_ADDRESS)
    secret_env: EnvName | None = Field(default=None, description=_ENV)
    lease_days: Annotated[float, Field(ge=1, le=90)] = Field(
        default=websub.LEASE_S / 86_400, description="days from 1 to 90"
    )

    def master(self, environ: Mapping[str, str]) -> str:
        """The secret that all topics' follow from. Raises SettingError."""
        secret = _from_env("websub", "secret_env", self.secret_env, environ)
        if len(secret) < MIN_SECRET_CHARS:
            raise SettingError(
                f"{FILE} [websub]: the secret of secret_env is too short; "
                f"allowed are {MIN_SECRET_CHARS} characters and more"
            )
        return secret


class PodcastIndexApi(_Called):
    """https://api.podcastindex.org"""

    address: Address = Field(default=podcastindex.API, description=_ADDRESS)
    key_env: EnvName | None = Field(default=None, description=_ENV)
    secret_env: EnvName | None = Field(default=None, description=_ENV)

    def credentials(self, environ: Mapping[str, str]) -> podcastindex.Credentials:
        """From the environment. Raises SettingError."""
        return podcastindex.Credentials(
            _from_env(podcastindex.NAME, "key_env", self.key_env, environ),
            _from_env(podcastindex.NAME, "secret_env", self.secret_env, environ),
        )


class PodcastIndexChanges(_Called):
    """https://tracking.podcastindex.org/current"""

    address: Address = Field(default=change_file.CURRENT, description=_ADDRESS)
    max_files: Annotated[int, Field(ge=1, le=500, strict=True)] = Field(
        default=40,
        description="whole numbers from 1 to 500: read in one pass (one is written every 3 minutes)",
    )


class AppleLookup(_Called):
    """https://itunes.apple.com/lookup: "about 20 calls a minute"; a little less leaves room for others."""

    calls_per_minute: PerMinute = Field(default=18, description=_MINUTE)
    address: Address = Field(default=apple.LOOKUP, description=_ADDRESS)
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = Field(
        default="US", description="a storefront's two letters (ISO 3166-1), such as US, DE"
    )
    batch: Annotated[int, Field(ge=1, le=apple.MAX_BATCH, strict=True)] = Field(
        default=100, description=f"whole numbers from 1 to {apple.MAX_BATCH}: ids of one call"
    )


class FeedSources(BaseModel):
    """All sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    podping: NoticeFiles = NoticeFiles()
    websub: WebSub = WebSub()
    podcastindex_changes: PodcastIndexChanges = PodcastIndexChanges()
    podcastindex: PodcastIndexApi = PodcastIndexApi()
    apple: AppleLookup = AppleLookup()

    @classmethod
    def load(cls, settings: Settings, environ: Mapping[str, str] | None = None) -> FeedSources:
        """From the file, which may be absent; sources that are on must have their keys in the environment.

        Raises SettingError naming table, key and what is allowed: never a value that may be a secret.
        """
        sources = cls.read(settings)
        for name in cls.model_fields:
            sources.require_keys(name, environ)
        return sources

    def require_keys(self, name: str, environ: Mapping[str, str] | None = None) -> bool:
        """Whether the source `name` needs keys; those it needs are there, else raises SettingError."""
        env = os.environ if environ is None else environ
        if name == podcastindex.NAME and self.podcastindex.on:
            self.podcastindex.credentials(env)
        elif name == websub.NAME and self.websub.on and self.websub.callback is not None:
            self.websub.master(env)
        else:
            return False
        return True

    def key_names(self) -> set[str]:
        """The environment variables that hold keys."""
        names = (self.podcastindex.key_env, self.podcastindex.secret_env, self.websub.secret_env)
        return {name for name in names if name is not None}

    @classmethod
    def read(cls, settings: Settings) -> FeedSources:
        """From the file, whatever the environment holds: enough for who calls nobody. Raises SettingError."""
        return cls.parse(_content(settings.data / FILE))

    def notice_files(self, source: str) -> NoticeFiles:
        """How the files of `landing/hints/<source>/` are read; a name of one's own has podping's defaults."""
        return {"podping": self.podping, websub.NAME: self.websub}.get(source, NoticeFiles())

    @classmethod
    def parse(cls, content: Mapping[str, object]) -> FeedSources:
        """From the tables of the file. Raises SettingError."""
        _refuse_unknown(content, list(cls.model_fields), FILE, "there is no source")
        for name, info in cls.model_fields.items():
            table = content.get(name, {})
            if not isinstance(table, dict):
                raise SettingError(f"{FILE}: {name!r} must be a table: [{name}]")
            model = info.annotation
            assert isinstance(model, type) and issubclass(model, _Table)
            _refuse_unknown(table, list(model.model_fields), f"{FILE} [{name}]", "no such setting:")
            try:
                model.model_validate(table)
            except ValidationError as error:
                # include_input: a value may be a key that was pasted into the wrong place.
                key = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
                allowed = model.model_fields[key].description
                raise SettingError(f"{FILE} [{name}]: {key} cannot be used; allowed: {allowed}") from None
        return cls.model_validate(content)


def _refuse_unknown(table: Mapping[str, object], known: list[str], where: str, what: str) -> None:
    for key in sorted(set(table) - set(known)):
        raise SettingError(f"{where}: {what} {key[:64]!r}; allowed are {', '.join(known)}")


def _content(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{FILE} cannot be read: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{FILE} cannot be read: {error}") from None


def _from_env(
    table: str, key: Literal["key_env", "secret_env"], name: str | None, env: Mapping[str, str]
) -> str:
    # `name` is not told: who takes it for the place of the key itself would find the key in a log.
    if name is None:
        raise SettingError(f"{FILE} [{table}]: {key} is missing; allowed: {_ENV}")
    value = env.get(name, "").strip()
    if not value or not value.isascii() or not value.isprintable():
        raise SettingError(
            f"{FILE} [{table}]: the environment variable that {key} names is not set, or no text"
        )
    return value
