"""An interval as a line of text: where it lies, where no effect would be, where the gross figure is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from serving.attribution.numbers import listeners
from serving.attribution.terms import Estimate

WIDTH = 62
_EDGE = 3  # cells left free on both sides, so that marks may give way to each other

ZERO, LOW, HIGH, VALUE, GROSS = "|", "[", "]", "o", "G"
INSIDE, OUTSIDE = "=", "."


def picture(estimates: Sequence[tuple[str, Estimate]], gross: float | None, width: int = WIDTH) -> list[str]:
    """A line each (its name, its estimate) on one scale, and a line that says what the marks mean.

    Marks that would fall together are moved apart, in their order: whether 0 lies inside the interval can
    always be seen.
    """
    numbers = [0.0, *([] if gross is None else [gross])]
    for _, one in estimates:
        numbers += (one.low, one.high)
    least, most = min(numbers), max(numbers)
    scale = (width - 1 - 2 * _EDGE) / ((most - least) or 1.0)

    def cell(number: float) -> int:
        return _EDGE + round((number - least) * scale)

    names = max(len(name) for name, _ in estimates)
    lines = [f"{name:<{names}}  {_line(one, gross, cell, width)}" for name, one in estimates]
    marks = f"{ZERO} 0, no effect   {LOW}{INSIDE}{VALUE}{INSIDE}{HIGH} interval and estimate"
    if gross is not None:
        marks += f"   {GROSS} gross, {listeners(gross)}"
    return [*lines, marks]


def _line(of: Estimate, gross: float | None, cell: Callable[[float], int], width: int) -> str:
    low, value, high, zero = cell(of.low), cell(of.value), cell(of.high), cell(0.0)
    if of.low > 0:
        low = max(low, zero + 1)
        value = max(value, low + 1)
        high = max(high, value + 1)
    elif of.high < 0:
        high = min(high, zero - 1)
        value = min(value, high - 1)
        low = min(low, value - 1)
    else:
        low, high = min(low, zero - 1), max(high, zero + 1)
        value = min(max(value, low + 1), high - 1)
        if value == zero and of.value:  # the sign is seen, where there is room for it
            value = min(zero + 1, high - 1) if of.value > 0 else max(zero - 1, low + 1)
    signs = [OUTSIDE] * width
    signs[low:high] = INSIDE * (high - low)
    marks = {zero: ZERO, low: LOW, high: HIGH, value: VALUE}
    for place, sign in marks.items():
        signs[place] = sign
    if gross is not None:  # beside what it would hide
        free = (place for place in range(width) if place not in marks)
        signs[min(free, key=lambda place: abs(place - cell(gross)))] = GROSS
    return "".join(signs)
