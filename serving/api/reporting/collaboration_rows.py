"""Rows of what collaborations brought, for OpenAPI: every column with an example."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field


class CollaborationRow(BaseModel):
    """A collaboration in short."""

    collaboration_id: int = Field(examples=[3])
    show_id: str | None = Field(description="which was to grow", examples=["show-00002"])
    show: str = Field(examples=["The Slow Morning"])
    partner_show_id: str | None = Field(examples=["show-00007"])
    partner: str = Field(examples=["Paper Moons"])
    type: str = Field(examples=["promo_swap"])
    starts_at: datetime = Field(examples=["2026-07-19T18:00:00Z"])
    final_at: datetime = Field(description="when the figures become final", examples=["2026-09-01T18:00:00Z"])
    state: str = Field(description="planned, no_data, provisional, final", examples=["final"])
    verdict: str = Field(
        description="gain, loss, cannot_tell, insufficient, nothing_yet, no_data", examples=["gain"]
    )
    words: str = Field(examples=["238 (181 to 296)"])
    new_listeners: float | None = Field(
        description="beyond those who would have come anyway; so far where provisional", examples=[238.2]
    )
    new_listeners_low: float | None = Field(description="of the 90 % interval", examples=[181.0])
    new_listeners_high: float | None = Field(examples=[295.9])
    forecast: float | None = Field(description="of the final number, while provisional", examples=[None])
    forecast_low: float | None = Field(examples=[None])
    forecast_high: float | None = Field(examples=[None])
    at_most: float | None = Field(description="where too little was seen: there are fewer", examples=[None])
    together_with: list[int] = Field(
        description="records of the same exposure; the number is its equal part", examples=[[]]
    )
    flags: list[str] = Field(
        description="what makes the number weaker than it looks", examples=[["not_calibrated"]]
    )
    cost: float | None = Field(default=None, description="for the tenant that recorded it", examples=[180.0])
    currency: str | None = Field(default=None, examples=["EUR"])


class TotalRow(BaseModel):
    """Collaborations of a show together, with the joint interval."""

    show_id: str = Field(examples=["show-00002"])
    show: str = Field(examples=["The Slow Morning"])
    group: str = Field(description="partner, type or month of their starts", examples=["Paper Moons"])
    partner_show_id: str | None = Field(default=None, examples=["show-00007"])
    collaborations: int = Field(examples=[4])
    provisional: int = Field(examples=[1])
    insufficient: int = Field(description="that alone tell nothing; in the sum they count", examples=[0])
    state: str = Field(examples=["final"])
    verdict: str = Field(examples=["gain"])
    words: str = Field(examples=["238 (181 to 296)"])
    new_listeners: float | None = Field(examples=[238.2])
    new_listeners_low: float | None = Field(examples=[181.0])
    new_listeners_high: float | None = Field(examples=[295.9])
    at_most: float | None = Field(examples=[None])
    gross_last_touch: float | None = Field(description="what last touch credits; gross", examples=[372.0])
    cost: float | None = Field(default=None, examples=[180.0])
    currency: str | None = Field(default=None, examples=["EUR"])
    cost_per_new_listener: float | None = Field(default=None, examples=[2.0])


class CourseRow(BaseModel):
    """A collaboration's course, day by day, in devices of the cohort."""

    date: str = Field(examples=["2026-07-19"], json_schema_extra={"format": "date"})
    exposed: int | None = Field(description="so far", examples=[299])
    converted: int | None = Field(description="of them, so far", examples=[12])
    organic: float | None = Field(description="how many of them were to come anyway", examples=[4.2])
    excess: float | None = Field(examples=[7.8])
    suppressed: bool | None = Field(default=None, examples=[None])


class SourceRow(BaseModel):
    """Where a week's first-ever listeners had been before: an observation, no effect."""

    period: str = Field(examples=["2026-W30"])
    period_start: date = Field(examples=["2026-07-20"])
    source: str = Field(description="collaboration, organic or unknown", examples=["organic"])
    collaboration_id: int | None = Field(examples=[None])
    listeners: int = Field(examples=[120])
    is_complete: bool = Field(examples=[True])
