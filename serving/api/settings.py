"""The settings of the API: `EARSHOT_API_<NAME>`, beside those of the installation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from limits import parse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ingest.settings import PREFIX, Settings, read_settings

API_PREFIX = f"{PREFIX}API_"


def _rate(text: str) -> str:
    if text != "0":
        try:
            parse(text)
        except ValueError:
            raise ValueError("a rate is such as 600/minute, 50/second; 0: none") from None
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class ApiSettings(BaseModel):
    """How the API serves; frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    platform: Settings = Field(default_factory=Settings)
    cors: str = Field(default="", description="origins whose pages may call the API, comma-separated; *: any")
    rate: Rate = Field(default="6000/minute", description="requests of one key, in each worker; 0: no limit")
    public_rate: Rate = Field(default="600/minute", description="requests without a key, of one address")
    hub_rate: Rate = Field(default="6000/minute", description="callbacks of hubs, of one address")
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = Field(
        default=0, description="proxies of your own in front: the client is that far back in X-Forwarded-For"
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(default=16 * 2**20)
    cache_mb: Annotated[int, Field(ge=0)] = Field(
        default=64, description="answers each worker keeps until the next publication"
    )
    # With 4, workers a core each answer a tenth less and take a third longer for the slowest (bench api).
    threads: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="queries at once, in each worker"
    )
    poll_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=0.5,
        description="how often a worker looks for a publication and for changed access",
    )
    open_metrics: bool = Field(default=False, description="/metrics without a key")
    secret: str | None = Field(
        default=None,
        repr=False,
        description="signs cursors and sessions; <data>/api.secret",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: object) -> ApiSettings:
        """Settings from the environment, overridden by `given`. Raises SettingError."""
        return read_settings(cls, API_PREFIX, environ, {"platform": Settings.from_env(environ), **given})
