"""Small charts for Dagster's UI: an SVG picture inside Markdown, which its pages let through as `data:`.

Colours are mid-tones, so that they can be read on its light and its dark pages; a few kB at most.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

MOST_BARS = 60
_WIDTH, _HEIGHT, _TOP, _BOTTOM = 320, 110, 16, 18  # a cell of an asset's page cuts what is wider
_BAR, _INK = "#5b73e8", "#7d8590"


def bars(title: str, points: Sequence[tuple[str, float]]) -> str:
    """One bar a point (label, number ≥ 0), the last MOST_BARS of them, as a Markdown image.

    Told in words are the largest number, the first and the last label. Empty without points.
    """
    shown = [(label, max(0.0, float(number))) for label, number in points[-MOST_BARS:]]
    if not shown:
        return ""
    largest = max(number for _, number in shown)
    step = _WIDTH / len(shown)
    width = max(1.0, step * 0.8)
    room = _HEIGHT - _TOP - _BOTTOM
    path = "".join(
        f"M{n * step:.1f} {_HEIGHT - _BOTTOM}v-{room * number / largest:.1f}h{width:.1f}V{_HEIGHT - _BOTTOM}z"
        for n, (_, number) in enumerate(shown)
        if largest and number
    )
    first, last = escape(shown[0][0]), escape(shown[-1][0])
    words = f"{title}: at most {largest:,.0f}"
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="{_INK}"><text y="11">{escape(words)}</text>'
        f'<path fill="{_BAR}" d="{path}"/>'
        f'<text y="{_HEIGHT - 4}">{first}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">{last}</text></svg>'
    )
    coded = base64.b64encode(picture.encode()).decode()
    alt = "".join(sign for sign in words if sign not in "[]()\\`<>!\n")
    return f"![{alt}](data:image/svg+xml;base64,{coded})"
