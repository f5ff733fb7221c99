"""What rules of credit say beside the answer, and why that is another number."""

from __future__ import annotations

from collections.abc import Iterator

from earshot.attribution.blocks import Block, Grid
from earshot.attribution.model import GROSS_WINDOW_DAYS, Difference, Explanation, GrossRule
from earshot.attribution.numbers import count, exact, listeners, percent


def gross(of: Explanation) -> Iterator[Block]:
    """The credited figures by window and rule, and what their difference to the answer is made of."""
    if of.gross:
        yield (
            "What rules of credit say, as most vendors publish it: whoever is new to the show under an "
            "address and agent, and downloaded the episode before, is credited to it."
        )
        yield _table(of)
    if of.difference is not None:
        yield from _why(of, of.difference)


def _table(of: Explanation) -> Grid:
    by = {(one.window_days, one.rule): one for one in of.gross}
    rows = []
    for window in sorted({one.window_days for one in of.gross}):
        cells = [by.get((window, rule)) for rule in GrossRule]
        touches = [one.touches for one in cells if one is not None and one.touches is not None]
        credited = ("-" if one is None else listeners(one.new_listeners) for one in cells)
        rows.append((f"{window} d", *credited, count(max(touches)) if touches else "-"))
    return Grid(("within", *(rule.replace("_", " ") for rule in GrossRule), "heard it"), tuple(rows))


def _why(of: Explanation, one: Difference) -> Iterator[Block]:
    rows = [
        ("came because of it (the answer above)", exact(one.incremental)),
        ("would have come anyway (organic adoption)", exact(one.organic)),
    ]
    if of.siblings:
        rows.append(("came because of other collaborations", exact(one.of_siblings)))
    rows.append(("not new (false new), and what else the rule sees", exact(one.rest)))
    rows.append((f"gross: last touch, {GROSS_WINDOW_DAYS} d", exact(one.gross)))
    yield Grid(("the gross figure is the sum of", "listeners"), tuple(rows))
    if of.calculation is not None and one.organic_share is not None:
        x, organic = count(of.calculation.converted), exact(of.calculation.organic)
        part = f" ({percent(one.organic_share)})" if one.organic_share <= 1 else ""
        yield (
            f"Organic adoption: {x} exposed took up the show, {organic}{part} were to be expected without "
            "the collaboration. The rule credits all of them."
        )
    if one.rest >= 0:
        yield (
            "False new: for the rule an old listener of the show whose address or app version changed is "
            "new. Here the key leaves versions out, only those seen for 28 days are asked, and those who "
            "changed are as many among the others."
        )
    else:
        yield (
            f"The rule sees {exact(-one.rest)} fewer: it misses whoever took up the show under another "
            "address or app version than that which heard the episode, and splits credit with other touches."
        )
