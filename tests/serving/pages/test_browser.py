"""The pages in a real browser: light, dark, on a telephone, on paper, by keyboard, while versions change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from serving.publish import publish
from tests.serving.pages import world
from tests.serving.pages.conftest import Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGES = {
    "overview": "/",
    "show": f"/shows/{world.OWN}",
    "a year of it": f"/shows/{world.OWN}?days=365",
    "all episodes": f"/episodes?show={world.OWN}",
    "hostile show": f"/shows/{world.EVIL}",
    "episode": f"/episodes/{world.episode_key(world.OWN, 15)}",
    "collaboration": "/collaborations/2",
    "podcasts": "/podcasts",
    "podcast": f"/podcasts/{world.PODCASTS[world.EVIL]}",
    "methodology": "/methodology",
    "document": "/methodology/collaborations",
    "session": "/session",
    "nowhere": "/shows/none",
}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1100, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1100, "height": 900}, "color_scheme": "dark"},
    "telephone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
}
# Of every text that is seen: its colour against the nearest background, as WCAG 2.2 reckons (1.4.3).
CONTRAST = """() => {
  const part = v => v <= 10 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const rgb = t => t.match(/[\\d.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
  const weak = [];
  for (const e of document.querySelectorAll('main *, header *, footer *')) {
    const has = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!has || !e.checkVisibility() || e.closest('.hidden, .skip, title')) continue;
    const style = getComputedStyle(e);
    const colour = rgb(e instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [a, b] = [light(colour), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) weak.push(`${e.tagName} ${e.textContent.trim().slice(0, 30)}`);
  }
  return weak;
}"""


@pytest.fixture(params=LOOKS)
def page(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab of somebody who runs the installation, in one of the looks."""
    yield from _tab(browser, site, LOOKS[request.param], "operator")


@pytest.fixture
def desk(browser: Browser, site: Site) -> Iterator[Page]:
    """A tab of ann at a desk."""
    yield from _tab(browser, site, LOOKS["light"], "ann")


def _tab(browser: Browser, site: Site, look: dict[str, Any], who: str) -> Iterator[Page]:
    context = browser.new_context(**look, base_url=site.address)
    tab = context.new_page()
    tab.goto("/session")
    tab.get_by_label("Key").fill(site.keys[who])
    tab.get_by_role("button", name="Show my shows").click()
    tab.wait_for_url("**/")
    yield tab
    context.close()


def test_every_page_fits_is_readable_and_has_no_errors(page: Page) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name, path in PAGES.items():
        page.goto(path)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond == 0, f"{name} is wider than its window by {beyond} pixels"
        assert page.evaluate(CONTRAST) == [], name
        assert page.locator("h1").count() == 1, name
        levels = page.eval_on_selector_all("h1, h2, h3", "all => all.map(one => Number(one.tagName[1]))")
        assert all(after - before <= 1 for before, after in pairwise(levels)), name
    # The browser tells of the page that is nowhere, as it should.
    assert [error for error in errors if "404" not in error] == []


def test_a_charts_wide_or_narrow_drawing_is_shown(page: Page) -> None:
    page.goto(PAGES["show"])
    is_narrow = page.evaluate("innerWidth") < 640
    shown = page.locator("figure.drawn svg").evaluate_all(
        "all => all.filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect().width)"
    )
    assert len(shown) == 3
    assert all(width <= 340 for width in shown) if is_narrow else all(width > 800 for width in shown)


def test_intervals_stand_over_the_scale_below_them(desk: Page) -> None:
    desk.goto(PAGES["show"])
    boxes = desk.locator("section:has(#collaborations) .interval svg").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => [box.x, box.width])"
    )
    assert len(boxes) == 5 and all(box == boxes[0] for box in boxes), boxes


def test_dark_is_dark_and_charts_follow(browser: Browser, site: Site) -> None:
    colours = []
    for scheme in ("light", "dark"):
        for tab in _tab(browser, site, {**LOOKS["light"], "color_scheme": scheme}, "ann"):
            tab.goto(PAGES["show"])
            colours.append(
                tab.evaluate(
                    "[getComputedStyle(document.body).backgroundColor, getComputedStyle("
                    "document.querySelector('figure svg path[stroke^=var]')).stroke]"
                )
            )
    assert colours[0][0] == "rgb(252, 252, 250)" and colours[1][0] == "rgb(18, 23, 26)"
    assert colours[0][1] != colours[1][1]


def test_a_keyboard_reaches_the_content_first_and_opens_the_figures(desk: Page) -> None:
    desk.goto(PAGES["show"])
    desk.keyboard.press("Tab")
    assert desk.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert desk.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    desk.keyboard.press("Enter")
    assert desk.evaluate("document.activeElement.id") == "main"
    desk.locator("summary").first.focus()
    assert desk.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    desk.keyboard.press("Enter")
    assert (
        desk.locator("#downloads").locator("xpath=ancestor::section").locator("tbody tr").first.is_visible()
    )


def test_choices_are_reached_by_keyboard_and_keep_each_other(desk: Page) -> None:
    desk.goto(f"/shows/{world.OWN}?days=28")
    for group, words in (
        ("Counted from", "prefix"),
        ("A download counts", "once in 24 h from the first request"),
        ("Days shown", "a year"),
    ):
        desk.get_by_role("navigation", name=group).get_by_role("link", name=words).focus()
        with desk.expect_navigation():
            desk.keyboard.press("Enter")
    assert desk.url.endswith("?source_class=prefix&window=first_touch&days=365")
    chosen = desk.locator(".choices [aria-current]").all_inner_texts()
    assert chosen == ["a year", "prefix", "once in 24\u00a0h from the first request"]
    desk.get_by_role("link", name="All 20 episodes").focus()
    desk.keyboard.press("Enter")
    desk.wait_for_url("**/episodes?*")
    assert "20 of 20" in desk.locator("h2").inner_text() and "window=first_touch" in desk.url


def test_a_screen_reader_hears_names_and_tables(desk: Page) -> None:
    desk.goto(PAGES["show"])
    told = desk.locator("main").aria_snapshot()
    assert 'heading "Garden Talk" [level=1]' in told
    assert 'region "Downloads over time' in told or 'heading "Downloads over time" [level=2]' in told
    assert 'img "Downloads by day, 6 Jun to 3 Sep 2026; the table below has the figures"' in told
    assert 'rowheader "Week 20"' in told and 'columnheader "First 7 days"' in told


def test_paper_has_the_figures_and_none_of_the_controls(desk: Page) -> None:
    desk.goto(PAGES["show"])
    desk.emulate_media(media="print")
    desk.set_viewport_size({"width": 718, "height": 1000})  # of A4 with Chromium's margins
    for hidden in (".top nav", ".who", ".choices", ".contents"):
        assert not desk.locator(hidden).first.is_visible(), hidden
    assert desk.locator("dl.figures").is_visible() and desk.locator("figure.drawn svg").first.is_visible()
    for path in PAGES.values():
        desk.goto(path)
        wide = desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"{path} is wider than the paper by {wide} pixels"
        assert not any(form.is_visible() for form in desk.locator("form").all()), path


def test_a_page_is_painted_within_a_second(desk: Page) -> None:
    """The first look at a show after its publication draws all its charts; the second is kept."""
    painted = []
    for _ in range(2):
        desk.goto(PAGES["show"])
        desk.wait_for_timeout(200)  # a paint is told a little after it
        painted += desk.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)"
        )
    assert len(painted) == 2 and painted[1] < 1000, painted


def test_pages_outlive_publications_beneath_them(desk: Page, site: Site) -> None:
    version = desk.locator("footer").inner_text()
    assert "Figures of publication 1," in version
    for number in range(2, 5):
        publish(site.data / "warehouse.duckdb", site.data / "published", keep=3, window="calendar")
        for _ in range(100):
            answer = desk.goto(PAGES["show"])
            assert answer is not None and answer.status == 200
            assert desk.locator("h1").inner_text() == "Garden Talk"
            if f"Figures of publication {number}," in desk.locator("footer").inner_text():
                break
            desk.wait_for_timeout(50)
        else:
            pytest.fail(f"publication {number} is not shown")


def test_leaving_forgets_who_it_was(desk: Page) -> None:
    desk.goto("/")
    desk.get_by_role("button", name="Leave").click()
    desk.wait_for_url("**/")
    assert desk.get_by_role("link", name="Enter a key").is_visible()
    answer = desk.goto(PAGES["show"])
    assert answer is not None and answer.status == 404
    assert desk.locator("h1").inner_text() == "No such show"
