"""What is nearly XML becomes XML; what is none becomes something that a tolerant parser gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.repair import repaired, tamed


@pytest.mark.parametrize(
    ("text", "xml"),
    [
        (b"R&D &amp; &lt;b&gt; &#233; &#xe9;", b"R&amp;D &amp; &lt;b&gt; &#233; &#xe9;"),
        (b"caf&eacute;&nbsp;", "café\xa0".encode()),
        (b"&bogus; &; &", b"&amp;bogus; &amp;; &amp;"),
        (b"&#0;&#x1F;&#xD800;&#x110000;&#65535;x", b"x"),
        (b"<![CDATA[R&D &nbsp;]]><!-- R&D -->R&D", b"<![CDATA[R&D &nbsp;]]><!-- R&D -->R&amp;D"),
        (b"<!-- never closed R&D", b"<!-- never closed R&amp;D"),
    ],
)
def test_entities_and_ampersands_are_repaired_outside_of_cdata_and_comments(text: bytes, xml: bytes) -> None:
    assert repaired(text) == xml


@pytest.mark.parametrize(
    ("text", "tame"),
    [
        (b"<a><![CDATA[<b> & ]]></a><!-- c --><?php d ?><!x>", b"<a>&lt;b&gt; &amp; </a>"),
        (b"<a><!-- <![CDATA[ <b>", b"<a>&lt; &lt; <b>"),
        (b"<author>" + b"a" * 400 + b" b</author>", b"<author>" + b"a" * 254 + b" b</author>"),
        (b"<link>" + b"a" * 400 + b"</link>", b"<link>" + b"a" * 400 + b"</link>"),
    ],
)
def test_what_hides_tags_is_opened_or_gone(text: bytes, tame: bytes) -> None:
    assert tamed(text) == tame


@given(
    st.lists(
        st.sampled_from([b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>", b"<!", b">", b"x ", b"<b>"])
    )
)
def test_what_is_tame_is_hidden_by_nothing(pieces: list[bytes]) -> None:
    assert not any(mark in tamed(b"".join(pieces)) for mark in (b"<!", b"<?"))
    assert repaired(b"".join(pieces)) == b"".join(pieces)  # no ampersand: nothing to repair
