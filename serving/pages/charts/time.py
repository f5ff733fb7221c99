"""Charts over time: downloads with episodes marked, listeners by period, a small line for a table."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

DAY_MS = 86_400_000


def _time(width: int, within_year: bool, is_short: bool = False) -> Spec:
    """An axis of days; a span beyond a year tells the year, too."""
    is_wide = width > 500
    axis = {
        "tickCount": {"interval": "day", "step": 1 if is_wide else 3} if is_short else 7 if is_wide else 3,
        "title": "date",
        "format": "%-d %b" if within_year else "%b %Y",
        "labelFlush": False,
    }
    return {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "axis": axis}


def _amount(is_large: bool, unit: str) -> Spec:
    axis = {"tickCount": 4, "format": "~s" if is_large else ",d", "tickMinStep": 1}
    return {"type": "quantitative", "title": unit, "axis": axis, "scale": {"domainMin": 0, "nice": True}}


def downloads(
    width: int,
    bars: bool = False,
    within_year: bool = True,
    is_large: bool = False,
    is_short: bool = False,
    unit: str = "day",
) -> Spec:
    """Downloads by day or week. Data sets: `days` (at, to: epoch ms; value; told), `episodes` (at; told).

    The area is the figure, a tick below an episode published. `told` is shown on hover.
    """
    x = _time(width, within_year, is_short)
    y = {**_amount(is_large, f"downloads a {unit}"), "field": "value"}
    height = 230 if width > 500 else 190
    shape: list[Spec] = (
        [
            {
                "mark": {"type": "bar", "color": "var(--series)", "cornerRadiusEnd": 1},
                "encoding": {"x": x, "x2": {"field": "to"}, "y": y, "y2": {"datum": 0}},
            }
        ]
        if bars
        else [
            {"mark": {"type": "area", "color": "var(--series-soft)"}, "encoding": {"x": x, "y": y}},
            {
                "mark": {"type": "line", "color": "var(--series)", "strokeWidth": 2, "strokeJoin": "round"},
                "encoding": {"x": x, "y": y},
            },
        ]
    )
    whole: Spec = {"value": 0}
    return {
        "width": width - 50,
        "height": height,
        "data": {"name": "days"},
        "layer": [
            *shape,
            {  # the whole column of a day tells its figure on hover
                "mark": {"type": "bar", "color": "transparent"},
                "encoding": {
                    "x": x,
                    "x2": {"field": "to"},
                    "y": whole,
                    "y2": {"value": height},
                    "description": {"field": "told"},
                },
            },
            {
                "data": {"name": "episodes"},
                "mark": {
                    "type": "point",
                    "shape": "triangle-up",
                    "filled": True,
                    "opacity": 1,
                    "color": "var(--mark)",
                    "stroke": "var(--paper)",
                    "strokeWidth": 1,
                    "size": 90,
                    "yOffset": -6,
                },
                "encoding": {
                    "x": x,
                    "y": {"value": height},
                    "description": {"field": "told"},
                },
            },
        ],
    }


def listeners(width: int, within_year: bool = True, is_large: bool = False, unit: str = "week") -> Spec:
    """New above returning listeners, a bar a period. Data set `periods` (at, to; low, high; kind; told)."""
    kinds = {"domain": ["returning", "new"], "range": ["var(--series-mid)", "var(--series)"]}
    return {
        "width": width - 50,
        "height": 200,
        "data": {"name": "periods"},
        "mark": {"type": "bar"},
        "encoding": {
            "x": _time(width, within_year),
            "x2": {"field": "to"},
            "y": {**_amount(is_large, f"listeners a {unit}"), "field": "high"},
            "y2": {"field": "low"},
            "color": {"field": "kind", "type": "nominal", "scale": kinds, "legend": None},
            "description": {"field": "told"},
        },
    }


def spark(width: int) -> Spec:
    """A line without axes for a table's cell. Data set `days` (at, value)."""
    return {
        "width": width,
        "height": 26,
        "data": {"name": "days"},
        "mark": {
            "type": "area",
            "color": "var(--series-soft)",
            "line": {"color": "var(--series)", "strokeWidth": 1.5},
        },
        "encoding": {
            "x": {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "axis": None},
            "y": {"field": "value", "type": "quantitative", "axis": None, "scale": {"domainMin": 0}},
        },
    }


def excess(width: int) -> Spec:
    """Who took up a show over who was to be expected to. Data set `days` (at, value, organic; told)."""
    x = _time(width, within_year=True)
    y = _amount(is_large=False, unit="listeners so far")
    return {
        "width": width - 50,
        "height": 200,
        "data": {"name": "days"},
        "layer": [
            {
                "mark": {"type": "area", "color": "var(--series-soft)"},
                "encoding": {"x": x, "y": {**y, "field": "value"}, "y2": {"field": "organic"}},
            },
            {
                "mark": {"type": "line", "color": "var(--quiet)", "strokeDash": [3, 3], "strokeWidth": 1.5},
                "encoding": {"x": x, "y": {**y, "field": "organic"}},
            },
            {
                "mark": {"type": "line", "color": "var(--series)", "strokeWidth": 2.25},
                "encoding": {"x": x, "y": {**y, "field": "value"}},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "opacity": 0,
                    "size": 120,
                    "color": "var(--series)",
                },
                "encoding": {"x": x, "y": {**y, "field": "value"}, "description": {"field": "told"}},
            },
        ],
    }
