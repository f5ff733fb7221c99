"""The first weeks of episodes against the band of their show."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]


def pacing(width: int, days: int = 30, series: tuple[str, ...] = ()) -> Spec:
    """Data sets `band` (age, p25, median, p75; told), `episodes` (age, value, episode; told).

    series: the names of the lines in their order, as in the legend of the page; at most three.
    """
    x: Spec = {
        "field": "age",
        "type": "quantitative",
        "scale": {"type": "sqrt", "domain": [0, days], "nice": False},  # most happens early
        "axis": {
            "values": [age for age in (0, 1, 3, 7, 14, 30) if age <= days],
            "title": "days since publication",
            "format": "d",
        },
    }
    y: Spec = {"type": "quantitative", "title": "downloads so far", "axis": {"tickCount": 4, "format": ",d"}}
    colour: Spec = {
        "field": "episode",
        "type": "nominal",
        "scale": {"domain": list(series), "range": ["var(--series)", "var(--mark)", "var(--third)"]},
        "legend": None,
    }
    return {
        "width": width - 56,
        "height": 250 if width > 500 else 210,
        "layer": [
            {
                "data": {"name": "band"},
                "mark": {"type": "area", "color": "var(--band)"},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "p25", "scale": {"domainMin": 0}},
                    "y2": {"field": "p75"},
                },
            },
            {
                "data": {"name": "band"},
                "mark": {"type": "line", "color": "var(--quiet)", "strokeDash": [3, 3], "strokeWidth": 1.5},
                "encoding": {"x": x, "y": {**y, "field": "median"}},
            },
            {
                "data": {"name": "episodes"},
                "mark": {"type": "line", "strokeWidth": 2.25, "strokeJoin": "round"},
                "encoding": {"x": x, "y": {**y, "field": "value"}, "color": colour},
            },
            {
                "data": {"name": "episodes"},
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 34},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "value"},
                    "color": colour,
                    "description": {"field": "told"},
                },
            },
        ],
    }
