"""What rules of credit say beside the answer, and why that is another number."""

from __future__ import annotations

from collections.abc import Iterator

from serving.attribution.blocks import Block, Grid
from serving.attribution.model import Explanation
from serving.attribution.numbers import count, exact, listeners, percent
from serving.attribution.terms import GROSS_WINDOW_DAYS, Calculation, Difference, GrossRule


def gross(of: Explanation) -> Iterator[Block]:
    """The credited figures by window and rule, and what their difference to the answer is made of."""
    if of.gross:
        yield (
            "What rules of credit say, as most vendors publish it: whoever is new to the show under an "
            f"address and agent, and downloaded {of.collaboration.exposure} before, is credited to it."
        )
        yield _table(of)
        if any(one.touches is not None for one in of.gross):
            yield (
                '"heard it" counts addresses with their full agent: an app that was updated counts twice, '
                "and strangers behind one address with like apps once. N above leaves versions out (step 1)."
            )
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
    if of.together is not None:
        rows[0] = ("came because of it (its equal part above)", rows[0][1])
    if of.siblings:
        rows.append(("came because of other collaborations", exact(one.of_siblings)))
    if one.to_siblings:
        rows.append(("credited by the rule to other collaborations", exact(one.to_siblings)))
    rows.append(("not new (false new), and what else the rule sees", exact(one.rest)))
    rows.append((f"gross: last touch, {GROSS_WINDOW_DAYS} d", exact(one.gross)))
    yield Grid(("the gross figure is the sum of", "listeners"), tuple(rows))
    if of.calculation is not None:
        yield from _organic(of.calculation, one)
    yield from _elsewhere(of, one)
    if one.rest >= 0:
        yield (
            "False new: for the rule an old listener of the show whose address or app version changed is "
            "new. Here the key leaves versions out, only those seen for 28 days are asked, and those who "
            "changed are as many among the others."
        )
    elif not of.siblings:
        yield (
            f"The rule sees {exact(-one.rest)} fewer: it misses whoever took up the show under another "
            f"address or app version than that which heard {of.collaboration.exposure}, whom the answer "
            "makes up for by λ."
        )
    else:
        yield (
            f"The rule sees {exact(-one.rest)} fewer. With others so near it cannot be told whether it "
            "credits them to these, or misses them under another address or app version."
        )


def _organic(of: Calculation, one: Difference) -> Iterator[Block]:
    if one.organic_share is None:
        return
    part = f" ({percent(one.organic_share)})" if one.organic_share <= 1 else ""
    yield (
        f"Organic adoption: {count(of.converted)} exposed took up the show, O = {exact(of.organic)}{part} "
        "were to be expected without the collaboration. Scaled as the excess above, that is "
        f"{exact(of.organic)} × {exact(of.not_known)} ÷ {count(of.exposed)} ÷ {exact(of.linkability)} = "
        f"{exact(one.organic)}. The rule credits all of them."
    )


def _elsewhere(of: Explanation, one: Difference) -> Iterator[Block]:
    credited = [other for other in of.overlaps if other.gross]
    if not credited:
        return
    told = ", ".join(
        f"{listeners(other.gross or 0.0)} to {other.collaboration_id} ({other.partner})" for other in credited
    )
    heard = ""
    if one.to_siblings:
        heard = f" At least {exact(-one.to_siblings)} of these heard this one first."
    yield f"The rule credits a new listener to one collaboration only: {told}.{heard}"
