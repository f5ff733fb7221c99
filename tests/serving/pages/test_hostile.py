"""Titles, values and addresses that mean harm: words on a page, and nothing else."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from serving.pages.texts import text_of
from tests.serving.pages import world
from tests.serving.pages.reading import read, words

PAGES = (
    "/",
    f"/shows/{world.EVIL}",
    f"/episodes/{world.episode_key(world.EVIL, 2)}",
    "/collaborations/4",
    "/podcasts",
    f"/podcasts/{world.PODCASTS[world.EVIL]}",
    "/methodology",
    "/methodology/collaborations",
    "/methodology/podcasts",
    "/session",
)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_script_style_or_markup_of_others(
    client: TestClient, keys: dict[str, str], path: str
) -> None:
    answer = client.get(path, headers={"authorization": f"Bearer {keys['operator']}"})
    page = read(client, path, keys["operator"])
    assert not page.xpath("//script | //style | //@style | //@*[starts-with(name(), 'on')] | //iframe | //b")
    assert "<b>" not in answer.text and "\x1b" not in answer.text.replace(world.HOSTILE, "")
    assert not [href for href in page.xpath("//@href | //@src") if href.startswith(("javascript:", "data:"))]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_hostile_titles_are_shown_as_they_are(client: TestClient, keys: dict[str, str]) -> None:
    title = words(read(client, f"/shows/{world.EVIL}", keys["bob"]).find(".//h1"))
    assert "<b>*&amp;*</b>" in title


@pytest.mark.parametrize(
    ("path", "status", "names"),
    [
        ("/shows/show-a?days=0", 422, "days"),
        ("/shows/show-a?days=99999999999999999999", 422, "days"),
        ("/shows/show-a?days=28&days=90", 422, "days"),
        ("/shows/show-a?source_class=both", 422, "source_class"),
        ("/shows/show-a?window=none", 422, "window"),
        ("/episodes?show=none", 404, ""),
        ("/episodes", 422, "show"),
        ("/episodes?show=show-a&page=0", 422, "page"),
        ("/shows/show-a?day=28", 422, "day"),
        ("/shows/show-a?days='%20or%201=1--", 422, "days"),
        ("/?page=0", 422, "page"),
        ("/?page=9999999", 422, "page"),
        (f"/?q={'x' * 101}", 422, "q"),
        ("/podcasts/1?before=x", 422, "before"),
        ("/episodes/99999999999999999999999", 404, "episode_key"),
        ("/episodes/x", 404, "episode_key"),
        ("/shows/..%2f..%2fetc%2fpasswd", 404, ""),
        ("/methodology/..%2f..%2fREADME.md", 404, ""),
        ("/methodology/pictures/..%2fattribution.md", 404, ""),
        ("/assets/pages.css", 404, ""),
        ("/link/" + "x" * 3000, 410, ""),
    ],
)
def test_what_cannot_be_shown_is_told_on_a_page_that_names_it(
    client: TestClient, keys: dict[str, str], path: str, status: int, names: str
) -> None:
    answer = client.get(path, headers={"authorization": f"Bearer {keys['operator']}"})
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    if "html" in answer.headers["content-type"]:
        assert names in words(read(client, path, keys["operator"], status).find(".//main"))
    else:  # no route has such a path
        assert answer.headers["content-type"] == "application/problem+json" and not names


@pytest.mark.parametrize("query", ["%27", "%25", "_", "<b>", "\\", "%F0%9F%98%80", "' or 1=1 --", "*"])
def test_a_search_for_anything_finds_only_what_has_it_in_its_title(
    client: TestClient, keys: dict[str, str], query: str
) -> None:
    for path in ("/", "/podcasts"):
        page = read(client, f"{path}?q={query}", keys["bob"])
        assert "Garden" not in words(page)


def test_documents_have_no_markup_of_their_own() -> None:
    text = text_of(
        "# T\n\n<script>x</script>\n\n| a |\n|--:|\n| [x](javascript:alert) |\n\n[d](feeds.md#a)\n"
    )
    assert "<script" not in text.body and "style=" not in text.body and 'href="javascript' not in text.body
    assert 'href="/methodology/podcasts#a"' in text.body
