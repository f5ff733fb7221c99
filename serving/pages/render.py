"""Fill a template: Jinja2, everything escaped, and what every page has around it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

SHEET = "pages.css"
ICON = "icon.svg"
CONTROLS = {code: None for code in range(32) if chr(code) not in "\t\n\r"} | {127: None}


@cache
def environment() -> jinja2.Environment:
    """The templates; a name that a template uses and nobody gave is an error."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("serving.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
    )
    found.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return found


def _printable(value: Any) -> Any:
    """Words of others without control characters, which no page needs."""
    return value.translate(CONTROLS) if isinstance(value, str) and value.isprintable() is False else value


@cache
def asset(name: str) -> tuple[bytes, str]:
    """A file beside the templates, and the address under which it may be kept for ever."""
    content = resources.files("serving.pages").joinpath("static", name).read_bytes()
    stem, _, ending = name.rpartition(".")
    return content, f"/assets/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"


def render(template: str, **given: Any) -> str:
    """One page."""
    around = {
        "sheet": asset(SHEET)[1],
        "icon": asset(ICON)[1],
        "last": None,
        "here": "",
        "who": "",
        "edition": None,
    }
    return environment().get_template(template).render(**{**around, **given})


def safe(html: str) -> Markup:
    """HTML made by us from Markdown without raw HTML."""
    return Markup(html)
