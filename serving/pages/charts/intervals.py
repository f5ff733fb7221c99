"""Intervals on one scale, one small picture a row of a table, and the scale below them."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

HEIGHT = 30


def _scale(low: float, high: float) -> Spec:
    return {"domain": [low, high], "nice": False, "zero": False}


def interval(width: int, low: float = 0, high: float = 1) -> Spec:
    """Data sets `all` (low, high, value; told), `gross` (value; told), `zero` (value 0).

    low, high: the scale, the same for every row of a table.
    """
    x: Spec = {"type": "quantitative", "axis": None, "scale": _scale(low, high)}
    y: Spec = {"value": HEIGHT / 2}
    return {
        "width": width,
        "height": HEIGHT,
        "padding": 0,
        "layer": [
            {
                "data": {"name": "zero"},
                "mark": {"type": "rule", "color": "var(--quiet)", "strokeDash": [2, 2]},
                "encoding": {"x": {**x, "field": "value"}},
            },
            {
                "data": {"name": "all"},
                "mark": {"type": "rule", "color": "var(--series)", "strokeWidth": 8, "strokeCap": "round",
                         "opacity": 0.35},
                "encoding": {
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "y": y,
                    "description": {"field": "told"},
                },
            },
            {
                "data": {"name": "all"},
                "mark": {"type": "point", "filled": True, "color": "var(--series)", "size": 90, "opacity": 1},
                "encoding": {"x": {**x, "field": "value"}, "y": y, "description": {"field": "told"}},
            },
            {
                "data": {"name": "gross"},
                "mark": {"type": "point", "shape": "diamond", "filled": False, "color": "var(--quiet)",
                         "size": 70, "opacity": 1},
                "encoding": {"x": {**x, "field": "value"}, "y": y, "description": {"field": "told"}},
            },
        ],
    }  # fmt: skip


def scale(width: int, low: float = 0, high: float = 1) -> Spec:
    """The axis that the rows share. Data set `zero`."""
    return {
        "width": width,
        "height": 1,
        "padding": 0,
        "data": {"name": "zero"},
        "mark": {"type": "point", "opacity": 0},
        "encoding": {
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": "new listeners",
                "axis": {"tickCount": 3, "format": "~s", "labelFlush": True},
                "scale": _scale(low, high),
            }
        },
    }


def alone(width: int, low: float = 0, high: float = 1, lines: int = 1) -> Spec:
    """One collaboration's interval on a scale of its own, so far and forecast a line each.

    Data sets `all` (name, low, high, value; told), `gross` (name, value; told).
    """
    x: Spec = {
        "type": "quantitative",
        "title": "new listeners",
        "axis": {"tickCount": 7 if width > 500 else 4, "format": ",d", "grid": True},
        "scale": _scale(low, high),
    }
    y: Spec = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelColor": "var(--text)"},
    }
    told: Spec = {"field": "told"}
    return {
        "width": width - 90,
        "height": 44 * lines,
        "layer": [
            {
                "mark": {"type": "rule", "color": "var(--quiet)", "strokeDash": [2, 2]},
                "data": {"values": [{}]},
                "encoding": {"x": {**x, "datum": 0}},
            },
            {
                "data": {"name": "all"},
                "mark": {"type": "rule", "color": "var(--series)", "strokeWidth": 10, "strokeCap": "round",
                         "opacity": 0.35},
                "encoding": {
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "y": y,
                    "description": told,
                },
            },
            {
                "data": {"name": "all"},
                "mark": {"type": "point", "filled": True, "color": "var(--series)", "size": 130,
                         "opacity": 1},
                "encoding": {"x": {**x, "field": "value"}, "y": y, "description": told},
            },
            {
                "data": {"name": "gross"},
                "mark": {"type": "point", "shape": "diamond", "filled": False, "color": "var(--quiet)",
                         "size": 90, "opacity": 1},
                "encoding": {"x": {**x, "field": "value"}, "y": y, "description": told},
            },
        ],
    }  # fmt: skip
