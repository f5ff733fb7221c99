"""Documents that are nearly XML, made XML; and what is none, made digestible for a tolerant parser.

All of it linear in the length, whatever the document holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.entities import html5

MAX_WORD = 254  # the longest e-mail address; feedparser looks for one in quadratic time

_HIDES = re.compile(rb"<(?:!(?:--|\[CDATA\[)?|\?)")
_HIDDEN_TO = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>", b"<!": b">"}
_AMPERSAND = re.compile(rb"&(?:#(\d{1,7}|x[0-9a-f]{1,6});|(\w{1,32});)?", re.IGNORECASE)
_WORD = re.compile(r"[\w.+-]+")
_PEOPLE = re.compile(
    rb"(<(?:dc:)?(?:author|creator|managingeditor|webmaster|publisher)\b[^<>]*>)([^<]*)", re.IGNORECASE
)
_XML_ENTITIES = frozenset([b"amp", b"lt", b"gt", b"quot", b"apos"])


def repaired(text: bytes) -> bytes:
    """Entities of HTML as characters, other stray ampersands and references to no character escaped.

    The commonest reasons why a feed is no XML; CDATA sections and comments stay as they are.
    """
    return b"".join(piece if mark else _AMPERSAND.sub(_reference, piece) for mark, piece in _pieces_of(text))


def tamed(text: bytes) -> bytes:
    """CDATA as text, comments and the like gone, endless names cut: over these feedparser never ends."""
    open_text = b"".join(_tame(mark, piece) for mark, piece in _pieces_of(text))
    return _PEOPLE.sub(_with_shorter_words, open_text)


def without_endless_words(text: str) -> str:
    """Words longer than an e-mail address can be, cut."""
    return _WORD.sub(lambda word: word[0][:MAX_WORD], text) if len(text) > MAX_WORD else text


def _pieces_of(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(what hides it, the piece): CDATA, comments, instructions and declarations; b"" for the open ones.

    An opening that is never closed hides nothing.
    """
    position, unclosed = 0, set()
    for found in _HIDES.finditer(text):
        mark, start = found[0], found.start()
        if start < position or mark in unclosed:
            continue
        end = text.find(_HIDDEN_TO[mark], found.end())
        if end < 0:
            unclosed.add(mark)
            continue
        end += len(_HIDDEN_TO[mark])
        yield b"", text[position:start]
        yield mark, text[start:end]
        position = end
    yield b"", text[position:]


def _tame(mark: bytes, piece: bytes) -> bytes:
    if mark == b"<![CDATA[":
        content = piece.removeprefix(mark).removesuffix(_HIDDEN_TO[mark])
        return content.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    if mark:
        return b""
    return _HIDES.sub(b"&lt;", piece)


def _with_shorter_words(person: re.Match[bytes]) -> bytes:
    return person[1] + without_endless_words(person[2].decode(errors="replace")).encode()


def _reference(found: re.Match[bytes]) -> bytes:
    number, name = found.group(1, 2)
    if number:
        code = int(number[1:], 16) if number[:1] in b"xX" else int(number)
        is_character = code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD
        return found[0] if is_character or 0x10000 <= code <= 0x10FFFF else b""
    if name in _XML_ENTITIES:
        return found[0]
    character = html5.get(f"{name.decode('latin-1')};") if name else None
    return character.encode() if character else b"&amp;" + found[0][1:]
