"""HTML from feeds made safe by an allow-list, and the same as text; both from one parsed tree.

Nothing of the source is copied: the tree is written anew, element by element, with what is allowed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from typing import NamedTuple

from lxml import etree

_PARSER = etree.HTMLParser(
    no_network=True, remove_comments=True, remove_pis=True, recover=True, huge_tree=False
)

# Elements whose content is code, or is read by other rules than HTML's: left out with all that is in them.
_LEFT_OUT = frozenset(
    [
        "applet", "audio", "embed", "frame", "frameset", "head", "iframe", "math", "noembed", "noframes",
        "noscript", "object", "plaintext", "script", "select", "style", "svg", "template", "textarea",
        "title", "video", "xmp",
    ]
)  # fmt: skip
_VOID = frozenset(["br", "hr", "img"])
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        [
            "abbr", "address", "b", "big", "blockquote", "br", "caption", "center", "cite", "code", "dd",
            "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5",
            "h6", "hr", "i", "ins", "kbd", "li", "mark", "p", "pre", "q", "s", "samp", "section", "small",
            "span", "strike", "strong", "sub", "sup", "table", "tbody", "tfoot", "thead", "tr", "tt", "u",
            "ul", "var",
        ],
        (),
    ),
    "a": ("href", "title"),
    "img": ("src", "alt", "title", "width", "height"),
    "ol": ("start",),
    "td": ("colspan", "rowspan"),
    "th": ("colspan", "rowspan"),
}  # fmt: skip
_ADDRESSES = frozenset(["href", "src"])
_SCHEMES = frozenset(["http", "https", "mailto", "tel"])
_SCHEME = re.compile(r"([^/?#:]*):")
_NOT_SHOWN = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\ufeff]+")  # browsers skip some
_LINE_BEFORE = frozenset(["br", "dd", "dt", "figcaption", "li", "tr"])
_LINES_AROUND = dict.fromkeys(["div", "hr", "section"], "\n") | dict.fromkeys(
    [
        "address", "blockquote", "dl", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre",
        "table", "ul",
    ],
    "\n\n",
)  # fmt: skip
_SPACES, _LINES, _BLANK = re.compile(r"[ \t\r\f\v\xa0]+"), re.compile(r" ?\n ?"), re.compile(r"\n{3,}")
_REMEMBERED_CHARS = 65_536
_DOCUMENT_TAGS = re.compile(r"</?(?:html|body)\b[^<>]*>", re.IGNORECASE)
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Markup(NamedTuple):
    """Null when there is nothing to see or to read."""

    html: str | None
    text: str | None


def clean_markup(source: str | None) -> Markup:
    """Safe HTML (only listed elements and attributes, only http(s), mailto, tel and relative links) and text.

    Elements that are not listed are replaced by their content, dangerous ones vanish with it.
    """
    return _clean_again(source) if source and len(source) <= _REMEMBERED_CHARS else _clean(source)


@lru_cache(maxsize=16)
def _clean_again(source: str) -> Markup:
    """Feeds say the same thing as description, summary and content."""
    return _clean(source)


def _clean(source: str | None) -> Markup:
    source = _ILLEGAL.sub("", source or "").strip()
    if not source:
        return Markup(None, None)
    if "<" not in source and "&" not in source:
        return Markup(escape(source, quote=False), _tidy(source))
    body = _body(source)
    if body is None:
        return Markup(None, None)
    html: list[str] = []
    text: list[str] = []
    _write(body, html, text)
    return Markup("".join(html).strip() or None, _tidy("".join(text)))


def plain_line(source: str | None) -> str | None:
    """Markup as one line of text."""
    text = clean_markup(source).text
    return " ".join(text.split()) if text else None


def one_line(text: str | None) -> str | None:
    """Text on one line, null when blank."""
    return " ".join(_ILLEGAL.sub("", text).split()) or None if text else None


def _body(source: str) -> etree._Element | None:
    """The parsed tree; libxml2 cuts it off at depth 256 and at 10 MB of text."""
    try:
        root = etree.fromstring(f"<html><body>{_DOCUMENT_TAGS.sub('', source)}</body></html>", _PARSER)
    except etree.XMLSyntaxError:
        return None
    return None if root is None else root.find("body")


def _write(parent: etree._Element, html: list[str], text: list[str]) -> None:
    _write_text(parent.text, html, text)
    for element in parent:
        name = element.tag
        if name not in _LEFT_OUT:
            allowed = _ATTRIBUTES.get(name)
            around = _LINES_AROUND.get(name)
            if around is not None:
                text.append(around)
            elif name in _LINE_BEFORE:
                text.append("\n")
            if allowed is not None:
                html.append(f"<{name}{_attributes(element, allowed)}>")
            if name not in _VOID:
                _write(element, html, text)
                if allowed is not None:
                    html.append(f"</{name}>")
            if around is not None:
                text.append(around)
        _write_text(element.tail, html, text)


def _write_text(found: str | None, html: list[str], text: list[str]) -> None:
    if found:
        html.append(escape(found, quote=False))
        text.append(found)


def _attributes(element: etree._Element, allowed: tuple[str, ...]) -> str:
    written = ""
    for name in allowed:
        value = element.get(name)
        if value is not None and not (name in _ADDRESSES and not _is_safe_address(value)):
            written += f' {name}="{escape(value.strip())}"'
    return written


def _is_safe_address(value: str) -> bool:
    scheme = _SCHEME.match(_NOT_SHOWN.sub("", value))
    return scheme is None or scheme[1].lower() in _SCHEMES


def _tidy(text: str) -> str | None:
    """Spaces run together, at most one blank line between paragraphs."""
    lines = _LINES.sub("\n", _SPACES.sub(" ", text))
    return _BLANK.sub("\n\n", lines).strip() or None
