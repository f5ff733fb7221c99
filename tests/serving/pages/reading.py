"""How tests read a page: as elements, sections and figures."""

from __future__ import annotations

import re
from typing import Any

from lxml import html
from starlette.testclient import TestClient

Element = Any


def read(client: TestClient, path: str, key: str | None = None, status: int = 200) -> Element:
    """The page under a path, as elements."""
    answer = client.get(path, headers={"authorization": f"Bearer {key}"} if key else {})
    assert answer.status_code == status, f"{path}: {answer.status_code} {words(html.fromstring(answer.text))}"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return html.fromstring(answer.text)


def words(element: Element) -> str:
    return " ".join(element.text_content().split())


def figures(page: Element) -> dict[str, str]:
    """Headline figures: label → value."""
    return {
        re.sub(r" R\d+.*", "", words(one.find("dt"))): words(one.cssselect("dd.value")[0])
        for one in page.cssselect("dl.figures > div")
    }


def section(page: Element, anchor: str) -> Element:
    [found] = page.cssselect(f'section[aria-labelledby="{anchor}"]')
    return found


def rows(of: Element) -> list[list[str]]:
    """Cells of the body of the only table in it; what stands below a cell's text is left out."""
    [table] = of.cssselect("table")
    return [
        [" ".join((cell.cssselect("a") or [cell])[0].text.split()) if _said(cell) else "" for cell in row]
        for row in table.cssselect("tbody tr")
    ]


def _said(cell: Element) -> bool:
    return bool(((cell.cssselect("a") or [cell])[0].text or "").strip())


def number(text: str) -> int:
    return int(text.replace(",", "").replace("−", "-"))
