"""Long texts as pages: how we count, how collaborations are measured, how podcasts are kept current."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENTS = {"collaborations": "attribution.md", "podcasts": "feeds.md"}  # address → file
PICTURES = {"attribution.svg"}
_STEP = re.compile(r"Step (\d+):")
_RULES = re.compile(r"R\d+(?:, R\d+)*")
_PAGES = {  # links of the documents to each other
    "methodology.md": "/methodology",
    "attribution.md": "/methodology/collaborations",
    "feeds.md": "/methodology/podcasts",
}


@dataclass(frozen=True)
class Text:
    """A text with its contents."""

    title: str
    sections: tuple[tuple[str, str], ...]  # anchor, title
    body: Markup


@lru_cache(maxsize=8)
def text_of(markdown: str) -> Text:
    """Markdown without raw HTML, as HTML with an anchor at every heading and every rule."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule(
        "table_open", lambda *_: '<div class="wide" tabindex="0" role="region" aria-label="Table"><table>\n'
    )
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(markdown)
    title, sections = "", []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor := anchor_of(inline.content))
            if token.tag == "h1":
                title = inline.content
            elif token.tag == "h2":
                sections.append((anchor, inline.content))
        elif token.type == "td_open" and _RULES.fullmatch(inline.content):
            token.attrSet("id", inline.content.split(",")[0].lower())
    for token in tokens:
        if token.type in ("td_open", "th_open") and token.attrs.pop("style", None) == "text-align:right":
            token.attrSet("class", "number")  # styles in the text are not allowed on our pages
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _href(str(child.attrGet("href"))))
            elif child.type == "image":
                child.attrSet("src", f"/methodology/pictures/{Path(str(child.attrGet('src'))).name}")
    return Text(title, tuple(sections), Markup(parser.renderer.render(tokens, parser.options, {})))


def anchor_of(title: str) -> str:
    """As GitHub makes them; a numbered step of the documents is `step-10`."""
    if step := _STEP.match(title):
        return f"step-{step[1]}"
    return "".join(sign for sign in title.lower().replace(" ", "-") if sign.isalnum() or sign == "-")


def document(name: str) -> Text | None:
    """One of DOCUMENTS; None: there is none, or this installation has no documents beside it."""
    file = DOCUMENTS.get(name)
    path = DOCS / file if file else None
    return text_of(path.read_text("utf-8")) if path and path.is_file() else None


def picture(name: str) -> bytes | None:
    """One of PICTURES."""
    path = DOCS / name
    return path.read_bytes() if name in PICTURES and path.is_file() else None


def _href(href: str) -> str:
    """Between documents to our pages; others of the repository stand in text only."""
    file, hash_, anchor = href.partition("#")
    if not file or "://" in file:
        return href
    page = _PAGES.get(Path(file).name)
    return f"{page}{hash_}{anchor}" if page else "#"
