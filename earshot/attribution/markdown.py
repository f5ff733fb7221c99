"""A page as Markdown, for a file, a mail or a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from earshot.show import plain
from serving.attribution.blocks import Block, Grid, Items, Page, Picture, Sums
from serving.attribution.steps import Step

_SIGNS = re.compile(r"([\\`*_\[\]<>|~&#])")


def as_markdown(page: Page) -> str:
    """The whole page; names of shows and episodes come from outside and are shown as they are."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {escaped(page.title)}"
    yield ""
    for line in page.about:
        yield f"{escaped(line)}  "
    yield ""
    yield f"**{escaped(page.headline[0])}** {escaped(' '.join(page.headline[1:]))}".rstrip()
    for section in page.sections:
        yield from ("", f"## {escaped(section.title)} ({escaped(section.where)})")
        for block in section.blocks:
            yield ""
            yield from _block(block)
    yield ""
    for line in page.foot:
        yield f"{escaped(line)}  "


def _block(block: Block) -> Iterator[str]:
    match block:
        case str():
            yield escaped(block)
        case Sums(lines):
            rows = [(one.what, one.sum, _step(one.step)) for one in lines]
            yield from _table(("what", "calculation", "step"), rows, "lrl")
        case Grid(columns, rows, texts):
            yield from _table(columns, rows, "l" * texts + "r" * (len(columns) - texts))
        case Picture(lines):
            yield from ("```", *lines, "```")
        case Items(items):
            for name, text in items:
                yield f"- **{escaped(name)}:** {escaped(text)}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> Iterator[str]:
    yield _row(columns)
    yield _row(["---:" if side == "r" else "---" for side in sides], escape=False)
    yield from map(_row, rows)


def _row(cells: Sequence[str], escape: bool = True) -> str:
    return f"| {' | '.join(escaped(cell) if escape else cell for cell in cells)} |"


def _step(step: Step) -> str:
    return str(int(step))


def escaped(text: str) -> str:
    """`text` as Markdown that shows just it, in one line."""
    return _SIGNS.sub(r"\\\1", plain(" ".join(text.split())).plain)
