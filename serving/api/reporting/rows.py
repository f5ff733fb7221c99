"""Rows of the reporting endpoints and what stands beside them, for OpenAPI: every column with an example."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RuleBody(BaseModel):
    """The rule behind the figures."""

    id: str = Field(examples=["R25"])
    words: str = Field(examples=["One listener, one episode, one window, at least one minute of content."])
    link: str = Field(
        description="of the methodology statement", examples=["/v1/methodology#what-is-counted"]
    )


class Basis(BaseModel):
    """What all figures of the answer rest on."""

    model_config = ConfigDict(extra="allow")

    window: str = Field(description="the window rule", examples=["calendar"])
    time_zone: str = Field(description="in which dates begin", examples=["UTC"])
    rule: RuleBody
    notes: list[str] = Field(description="what must be said beside the figures", examples=[[]])


class OfShow(Basis):
    """Of one show, under one source class."""

    show_id: str = Field(examples=["show-00002"])
    show_title: str | None = Field(examples=["The Slow Morning"])
    source_class: str | None = Field(
        description="which was counted; never sum two. Null where both are compared", examples=["server_log"]
    )


class OfRange(OfShow):
    """Of a range of dates."""

    first: date = Field(alias="from", examples=["2026-09-01"])
    last: date = Field(alias="to", description="inclusive", examples=["2026-09-30"])


class Hidden(BaseModel):
    """Where the reader does not own the show."""

    suppressed: bool | None = Field(
        default=None,
        description="for readers who do not own the show: too few listeners are behind the row, so it has no "
        "figures. Owners' rows do not have it",
        examples=[None],
    )


class PeriodRow(Hidden):
    period: str = Field(
        description="ISO 8601: 2026-09-07T10:00+02:00, 2026-09-07, 2026-W37, 2026-09", examples=["2026-W37"]
    )
    period_start: date | datetime = Field(
        description="first date; by hour the instant, UTC", examples=["2026-09-07"]
    )
    period_end: date | datetime = Field(
        description="last date; by hour the end, exclusive", examples=["2026-09-13"]
    )


class DownloadsRow(PeriodRow):
    """A period with downloads; with a dimension, one of its values in it."""

    downloads: int | None = Field(examples=[998])
    is_complete: bool = Field(description="data and range hold the whole period", examples=[True])
    estimated_downloads: int | None = Field(
        default=None, description="of them, whose threshold is an estimate", examples=[12]
    )
    uncomparable_downloads: int | None = Field(
        default=None, description="of them, from sources that cut addresses short", examples=[0]
    )
    value: str | None = Field(default=None, description="of the dimension", examples=[None])
    share: float | None = Field(default=None, description="of the period's downloads", examples=[None])


class ValueRow(Hidden):
    """A value of a dimension, over the whole range."""

    value: str = Field(description="unknown where there is none", examples=["Pocket Casts"])
    downloads: int | None = Field(examples=[623])
    share: float | None = Field(description="of all downloads of the range", examples=[0.20878])


class ListenersRow(PeriodRow):
    """Listeners distinct within the period: never to be summed."""

    listeners: int | None = Field(examples=[934])
    new_listeners: int | None = Field(description="heard the show first in it", examples=[489])
    returning_listeners: int | None = Field(description="heard it before", examples=[445])
    uncomparable_listeners: int | None = Field(
        description="of sources that cut addresses short", examples=[0]
    )
    is_complete: bool = Field(description="the data hold the whole period", examples=[True])


class BandRow(Hidden):
    """An age of the show's episodes."""

    age_days: int = Field(description="in 24 hours since publication", examples=[7])
    p25_downloads: float | None = Field(examples=[761.0])
    median_downloads: float | None = Field(examples=[846.0])
    p75_downloads: float | None = Field(examples=[898.0])
    episodes: int = Field(description="behind these", examples=[27])
    episodes_too_young: int = Field(examples=[1])
    episodes_before_data: int = Field(description="published before the data begin", examples=[0])
    episodes_without_date: int = Field(examples=[0])


class PaceRow(Hidden):
    """An episode at an age, beside its show's band."""

    episode_id: str = Field(examples=["s00002-e0001"])
    episode_title: str | None = Field(examples=["The First Coffee"])
    published_at: datetime = Field(examples=["2026-08-30T06:00:00Z"])
    age_days: int = Field(examples=[7])
    downloads: int | None = Field(examples=[689])
    completeness: str = Field(description="complete, age_not_reached, published_before_data")
    is_complete: bool = Field(examples=[True])
    ratio_to_show_median: float | None = Field(examples=[0.814])
    rank_in_show: int | None = Field(examples=[27])
    episodes: int | None = Field(description="behind the band", examples=[27])
    p25_downloads: float | None = Field(examples=[761.0])
    median_downloads: float | None = Field(examples=[846.0])
    p75_downloads: float | None = Field(examples=[898.0])


class EpisodeRow(Hidden):
    """An episode with its downloads so far."""

    episode_id: str = Field(examples=["s00002-e0001"])
    episode_title: str | None = Field(examples=["The First Coffee"])
    published_at: datetime | None = Field(examples=["2026-08-30T06:00:00Z"])
    duration_s: float | None = Field(examples=[1800.0])
    enclosure_url: str | None = Field(
        default=None, description="for owners", examples=["https://cdn.example/1.mp3"]
    )
    is_removed: bool = Field(description="taken out of its feed", examples=[False])
    downloads: int | None = Field(examples=[715])
    first_date: date | None = Field(description="of its downloads", examples=["2026-08-30"])
    last_date: date | None = Field(examples=["2026-09-04"])


class TopEpisodeRow(Hidden):
    """An episode by its downloads in the range; equal ones share a rank."""

    rank: int | None = Field(examples=[1])
    episode_id: str = Field(examples=["s00002-e0001"])
    episode_title: str | None = Field(examples=["The First Coffee"])
    published_at: datetime | None = Field(examples=["2026-08-30T06:00:00Z"])
    downloads: int | None = Field(examples=[755])
    share: float | None = Field(default=None, description="of the show's downloads", examples=[0.253])
    show_id: str | None = Field(default=None, examples=["show-00002"])
    show_title: str | None = Field(default=None, examples=["The Slow Morning"])


class HeadlineRow(Hidden):
    """The newest whole days of a show beside those before them."""

    last_date: date | None = Field(description="the last whole one", examples=["2026-09-03"])
    downloads_7: int | None = Field(examples=[721])
    downloads_7_before: int | None = Field(examples=[750])
    downloads_28: int | None = Field(examples=[2968])
    downloads_28_before: int | None = Field(examples=[3111])
    downloads_all: int | None = Field(examples=[23479])
    first_date: date | None = Field(description="of the data", examples=["2026-03-01"])
    listeners_7: int | None = Field(examples=[717])
    listeners_28: int | None = Field(examples=[1321])
    new_listeners_28: int | None = Field(examples=[555])
    returning_listeners_28: int | None = Field(examples=[766])


class ExclusionRow(Hidden):
    """Requests of one fate; with `download` the rows add up to the log lines that could be read."""

    period: str | None = Field(default=None, examples=[None])
    period_start: date | None = Field(default=None, examples=[None])
    reason: str = Field(examples=["below_threshold"])
    rule: str = Field(examples=["R5, R13, R14"])
    words: str = Field(examples=["its window holds less than one minute of content"])
    requests: int | None = Field(examples=[1019])
    share: float | None = Field(examples=[0.734])
    is_excluded: bool = Field(examples=[True])


class ReconciliationRow(BaseModel):
    """What a prefix and the host's log count on one date."""

    date: str = Field(examples=["2026-09-02"], json_schema_extra={"format": "date"})
    episode_id: str | None = Field(default=None, examples=[None])
    episode_title: str | None = Field(default=None, examples=[None])
    prefix_downloads: int = Field(examples=[130])
    server_log_downloads: int = Field(examples=[100])
    difference: int = Field(description="prefix less server log", examples=[30])
    difference_share: float = Field(description="of the larger one", examples=[0.2308])
    unaccounted_downloads: int = Field(description="that no rule explains", examples=[10])
    is_within_tolerance: bool = Field(examples=[False])
    likely_cause: str = Field(examples=["below_threshold"])
    words: str = Field(examples=["half of the difference is windows of less than a minute at the host"])
    is_complete: bool = Field(examples=[True])


class PlatformRow(BaseModel):
    """Several shows together in a period."""

    period: str = Field(examples=["2026-09-02"])
    period_start: date = Field(examples=["2026-09-02"])
    period_end: date = Field(examples=["2026-09-02"])
    downloads: int = Field(examples=[52210])
    shows: int = Field(description="with a download", examples=[300])
    is_complete: bool = Field(examples=[True])


class TopShowRow(BaseModel):
    """A show by its downloads in the range; equal ones share a rank."""

    rank: int = Field(examples=[1])
    show_id: str = Field(examples=["show-00002"])
    show_title: str | None = Field(examples=["The Slow Morning"])
    downloads: int = Field(examples=[9233])
    share: float = Field(description="of all these shows", examples=[0.083])


class ShowBody(BaseModel):
    """A show, and which source classes see it."""

    model_config = ConfigDict(extra="allow")

    show_id: str = Field(examples=["show-00002"])
    show_title: str | None = Field(examples=["The Slow Morning"])
    episodes: int = Field(examples=[52])
    first_published_at: datetime | None = Field(examples=["2025-09-01T05:00:00Z"])
    last_published_at: datetime | None = Field(examples=["2026-08-31T05:00:00Z"])
    main_source_class: str | None = Field(
        description="counted where none is asked for", examples=["server_log"]
    )
    source_classes: list[dict[str, Any]] = Field(
        examples=[[{"source_class": "server_log", "from": "2026-03-01", "to": "2026-09-04"}]]
    )
    subjects: list[str] = Field(
        description="which of its figures you may see", examples=[["downloads", "audience"]]
    )
    version: int = Field(examples=[42])
