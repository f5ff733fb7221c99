"""Superset in Chromium: the dashboard's charts as they are drawn, and what the server answered for each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import APIResponse, Browser, Page, Response, ViewportSize, sync_playwright

from deploy.superset import bundle

WIDE: ViewportSize = {"width": 1500, "height": 1000}
TALL: ViewportSize = {"width": 1500, "height": 1900}
PATIENCE_S = 120  # of a machine with much else to do
OURS_TO_BLOCK = "scarf.sh"  # Superset's pixel that counts installations; our policy keeps it from loading


def _tabs() -> dict[str, list[str]]:
    """The titles of the charts by the title of the tab."""
    parts = bundle.read_files()["dashboards/Earshot.yaml"]["position"]
    found: dict[str, list[str]] = {}
    for part in parts.values():
        if isinstance(part, dict) and part["type"] == "CHART":
            _, _, tab, *_ = part["parents"]
            found.setdefault(parts[tab]["meta"]["text"], []).append(part["meta"]["sliceName"])
    return found


TABS = _tabs()


@dataclass
class Analyst:
    """Someone in front of a browser; `errors` is everything that went wrong before their eyes or behind."""

    page: Page
    base: str
    errors: list[str] = field(default_factory=list)
    _answers: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("response", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        self.page.on("console", self._logged)

    def _heard(self, response: Response) -> None:
        if "/api/v1/chart/data" in response.url:
            self._answers.append(response)
        if response.status >= 400 and response.url.startswith(self.base):
            self.errors.append(f"{response.status} {response.url}")

    def _logged(self, message: Any) -> None:
        if message.type == "error" and OURS_TO_BLOCK not in message.text:
            self.errors.append(f"console: {message.text}")

    def log_in(self, user: str, password: str) -> None:
        self.page.goto(f"{self.base}/login/")
        self.page.locator("#username input, input#username").first.fill(user)
        self.page.locator("input[type=password]").fill(password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/login" not in url)

    def ask(self, method: str, path: str, **told: Any) -> APIResponse:
        """What Superset's API answers to who is logged in here."""
        api, headers = self.page.request, {"Referer": self.base}
        if method != "get":
            token = api.get(f"{self.base}/api/v1/security/csrf_token/", headers=headers)
            headers["X-CSRFToken"] = token.json()["result"]
        return api.fetch(self.base + path, method=method, headers=headers, **told)

    def open_dashboard(self, slug: str) -> dict[str, list[dict[str, Any]]]:
        """Rows by chart of the first tab, once all of them are drawn."""
        told = self.ask("get", f"/api/v1/dashboard/{slug}/charts").json()["result"]
        self._titles = {int(chart["id"]): str(chart["slice_name"]) for chart in told}
        self._answers.clear()
        self.page.goto(f"{self.base}/superset/dashboard/{slug}/")
        return self._wait_for("Downloads")

    def open_tab(self, title: str) -> dict[str, list[dict[str, Any]]]:
        """Rows by chart of that tab, once all of them are drawn."""
        self._answers.clear()
        self.page.get_by_role("tab", name=title).click()
        return self._wait_for(title)

    def _wait_for(self, tab: str) -> dict[str, list[dict[str, Any]]]:
        give_up = time.monotonic() + PATIENCE_S
        while True:
            rows = self._rows()
            if set(TABS[tab]) <= set(rows) and self._drawn() >= len(TABS[tab]):
                break
            if time.monotonic() > give_up:
                raise AssertionError(f"{tab}: only {sorted(rows)} came, {self._drawn()} are drawn")
            self.page.wait_for_timeout(200)
        for alert in self.page.locator(".ant-alert-error:visible").all_inner_texts():
            self.errors.append(f"shown: {alert}")
        return rows

    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for response in list(self._answers):
            form = parse_qs(urlsplit(response.url).query).get("form_data")  # a filter's question has none
            if form and response.status == 200:
                (number,) = [int(part) for part in form[0].replace("}", ":").split(":") if part.isdecimal()]
                found[self._titles[number]] = response.json()["result"][0]["data"]
        return found

    def _drawn(self) -> int:
        """How many charts of the tab that is open are on the page with what they draw on."""
        return int(
            self.page.evaluate(
                "[...document.querySelectorAll('.dashboard-chart')].filter(chart => chart.offsetParent"
                " && chart.querySelector('canvas, table')"
                " && !chart.querySelector('[data-test=loading-indicator]')).length"
            )
        )

    def picture(self, path: Path) -> None:
        """All of the tab, as far as it goes down."""
        self.page.set_viewport_size(TALL)
        self.page.wait_for_timeout(2500)
        self.page.screenshot(path=path)
        self.page.set_viewport_size(WIDE)


@contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def analyst(browser: Browser, base: str, user: str, password: str) -> Analyst:
    """One who has logged in, with cookies of their own."""
    someone = Analyst(browser.new_page(viewport=WIDE), base)
    someone.log_in(user, password)
    someone.errors.clear()  # Superset asks who is there before anybody is
    return someone
