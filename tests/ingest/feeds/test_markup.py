"""HTML of strangers becomes safe HTML and readable text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from ingest.feeds.markup import clean_markup, plain_line


@pytest.mark.parametrize(
    ("source", "html", "text"),
    [
        ("Tom & Jerry", "Tom &amp; Jerry", "Tom & Jerry"),
        ("1 > 0", "1 &gt; 0", "1 > 0"),
        ("a < b and c > d", "a &lt; b and c &gt; d", "a < b and c > d"),
        ("two\n\n\n\nlines", "two\n\n\n\nlines", "two\n\nlines"),
        ("<p>Hi <b>there</b></p><p>You</p>", "<p>Hi <b>there</b></p><p>You</p>", "Hi there\n\nYou"),
        ("one<br/>two", "one<br>two", "one\ntwo"),
        ("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c", "a\nb\n\nc"),
        ("Caf&eacute;&nbsp;&copy;", "Café\xa0©", "Café ©"),
        ("<font color=red>red</font>", "red", "red"),
        ("<html><head><title>T</title></head><body><p>x</p></body></html>y", "<p>x</p>y", "x\n\ny"),
        ("<a href='https://a.example/?x=1&y=2' target=_blank onclick=x()>l</a>",
         '<a href="https://a.example/?x=1&amp;y=2">l</a>', "l"),
        ("<a href='/rel'>l</a>", '<a href="/rel">l</a>', "l"),
        ("<img src='https://a.example/1.png' alt='\"A\"' onerror='x()'>",
         '<img src="https://a.example/1.png" alt="&quot;A&quot;">', None),
        ("<!-- c -->x<?php y ?>", "x", "x"),
        ("", None, None),
        (" \n ", None, None),
        (None, None, None),
        ("<p>", "<p></p>", None),
    ],
)  # fmt: skip
def test_markup_is_kept_where_it_is_harmless(source: str | None, html: str | None, text: str | None) -> None:
    assert clean_markup(source) == (html, text)


ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</script>",
    "<style>*{background:url(javascript:alert(1))}</style>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></table></mtext></math>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' java\tscr\nipt:alert(1)'>x</a>",
    "<a href='java&#115;cript:alert(1)'>x</a>",
    "<a href='&#1;javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='vbscript:x'>x</a>",
    "<img src=x onerror=alert(1)>",
    "<img src='x' style='background:url(javascript:alert(1))'>",
    "<p onmouseover=alert(1)>x</p>",
    "<form action='javascript:alert(1)'><input type=submit></form>",
    "<object data='javascript:alert(1)'></object>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<textarea><p title='</textarea><img src=x onerror=alert(1)>'></textarea>",
    "<plaintext><script>alert(1)</script>",
    "<template><script>alert(1)</script></template>",
    '<a href="x" title="\'><script>alert(1)</script>">x</a>',
    '<p title="&quot;><script>alert(1)</script>">x',
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
ALLOWED = re.compile(r"</?[a-z][a-z0-9]*((?: [a-z]+=\"[^\"<>]*\")*)>")


def assert_safe(html: str) -> None:
    """Every `<` begins a plain listed tag whose attributes are quoted; none of them runs anything."""
    rest = ALLOWED.sub("", html)
    assert "<" not in rest and ">" not in rest
    names = {name for tag in ALLOWED.finditer(html) for name in re.findall(r" ([a-z]+)=", tag[1])}
    assert names <= {"href", "title", "src", "alt", "width", "height", "start", "colspan", "rowspan"}
    assert not re.search(r"<(?:script|style|iframe|svg|math|object|form|input|template|textarea)\b", html)
    for element in etree.fromstring(f"<div>{html}</div>", etree.HTMLParser()).iter():
        for name in ("href", "src"):
            address = re.sub(r"[\x00-\x20]", "", element.get(name) or "").lower()
            assert not address.startswith(("javascript:", "data:", "vbscript:"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_leaves_nothing_that_runs(attack: str) -> None:
    assert_safe(clean_markup(f"before {attack} after").html or "")


PIECES = st.sampled_from([*ATTACKS, "<p>", "</p>", "<b", "'", '"', ">", "<!--", "-->", "&#", "&lt;"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=6).map("".join))
def test_any_markup_is_safe_and_stays_as_it_is_once_cleaned(source: str) -> None:
    html = clean_markup(source).html
    assert_safe(html or "")
    once = clean_markup(html)
    assert clean_markup(once.html) == once


def test_a_title_is_one_line_of_text() -> None:
    assert plain_line(" <b>The</b>\n  &amp; Show<br>x ") == "The & Show x"
    assert plain_line("<script>x</script>") is None
