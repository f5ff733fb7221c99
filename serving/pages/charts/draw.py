"""Draw a chart on the server: a Vega-Lite specification and its rows become inline SVG.

vl-convert ships Vega with its own engine, so nothing is fetched and no browser is needed. A specification is
compiled once a shape; of each drawing only the rows change. Colours are custom properties of the style sheet
(`var(--series)`), so that one SVG is right in light, dark and print. Marks that describe themselves get a
<title>, which browsers show on hover; the table beside each chart is for those who do not see it.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import vl_convert
from markupsafe import Markup, escape

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]
Design = Callable[..., Spec]  # (width, **options) → specification whose data sets are named, not filled

VEGA_LITE = "6.4"
WIDE, NARROW = 880, 340  # pixels of a chart on a page, and on a telephone
FONT = "sans-serif"  # measured with; shown is the page's own

_CONFIG: Spec = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": "var(--grid)",
        "labelColor": "var(--quiet)",
        "labelFontSize": 12,
        "labelPadding": 6,
        "titleColor": "var(--quiet)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelOverlap": False,
    },
    # What is counted stands above its axis, not turned beside it.
    "axisY": {
        "titleAngle": 0,
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleBaseline": "bottom",
        "titleX": -44,
        "titleY": -10,
    },
    "axisX": {"grid": False, "domain": True, "domainColor": "var(--grid)"},
    "text": {"fontSize": 12, "color": "var(--text)"},
}
_ROOT = re.compile(r'^<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>')
_DESCRIBED = re.compile(r'<(path|rect|circle|line) aria-label="([^"]*)"([^>]*?)/>')
_ROLES = re.compile(
    r' (?:role|aria-roledescription|aria-hidden|pointer-events|class|stroke-miterlimit)="[^"]*"'
)
_STYLE = re.compile(r' style="[^"]*"')
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_EMPTY = re.compile(r'<path d="M0,0h0v0h0Z"/>|<path d="M0,0h[\d.]+v[\d.]+h-[\d.]+Z"/>|<g></g>')


@dataclass(frozen=True)
class Drawing:
    """One chart in both widths, ready for a page."""

    wide: Markup
    narrow: Markup


def warm() -> None:
    """Start the engine beside all else: the first chart of a process costs a third of a second more."""
    empty: Spec = {"$schema": "https://vega.github.io/schema/vega/v6.json", "width": 9, "height": 9}
    threading.Thread(target=vl_convert.vega_to_svg, args=(empty,), name="earshot-charts", daemon=True).start()


def drawing(design: Design, title: str, rows: Mapping[str, Rows], **options: object) -> Drawing:
    """Draw `design` filled with `rows` (data set → its rows) for a page and for a telephone.

    title: what a screen reader says in the chart's place. options: what the design takes beside its width;
    each combination is compiled once, so they are few.
    """
    return Drawing(
        svg(design, WIDE, title, rows, **options),
        svg(design, NARROW, title, rows, **options),
    )


def svg(design: Design, width: int, title: str, rows: Mapping[str, Rows], **options: object) -> Markup:
    """One SVG element without script, style or absolute size; it fills its container's width."""
    spec = copy.copy(_compiled(design, width, tuple(sorted(options.items()))))
    spec["data"] = [
        {**source, "values": rows[source["name"]]} if source["name"] in rows else source
        for source in spec["data"]
    ]
    drawn = vl_convert.vega_to_svg(json.dumps(spec, default=str), allowed_base_urls=[])
    return Markup(_tidy(_CONTROLS.sub("", drawn), title))


@lru_cache(maxsize=256)
def _compiled(design: Design, width: int, options: tuple[tuple[str, object], ...]) -> Spec:
    spec = design(width, **dict(options))
    config = {**_CONFIG, **spec.pop("config", {})}
    whole = {"background": None, "padding": 2, **spec, "config": config}
    compiled: Spec = vl_convert.vegalite_to_vega(whole, vl_version=VEGA_LITE)
    return compiled


def _tidy(drawn: str, title: str) -> str:
    """Vega's SVG as a part of a page: one image with a name, whose marks may have titles."""
    size = _ROOT.match(drawn)
    if size is None:  # another version of vl-convert: its output must be looked at again
        raise ValueError("the chart library's SVG does not begin as expected")
    width, height = size.groups()
    body = _STYLE.sub("", drawn[size.end() :])
    body = _DESCRIBED.sub(r"<\1\3><title>\2</title></\1>", body)
    body = _EMPTY.sub("", _ROLES.sub("", body))
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{body}'
    )
