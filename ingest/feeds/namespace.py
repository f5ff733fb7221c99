"""The itunes: and podcast: tags of a feed, read with lxml, none lost (UPDATES §2, the podcast namespace).

A podcast: tag becomes a dict: its attributes by name, its text as "text", its children as lists by tag. An
attribute whose name is taken by the text or by a child gets "@" before it. Children of other namespaces
carry their prefix ("itunes:image"), plain RSS ones (in a liveItem) do not.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any

from lxml import etree

from ingest.feeds.reasons import FeedUnreadable, Reason

MAX_TAGS = 20_000  # podcast: tags of one name in one channel or item, with all that is in them
MAX_ATTRIBUTES = 100  # of one element; lxml and feedparser list them in quadratic time
MAX_DEPTH = 32  # what is nested deeper is left out; the namespace itself needs 3

Tag = dict[str, Any]


class Vocabulary(StrEnum):
    """Whose word a tag is."""

    RSS = "rss"  # no namespace, or one of RSS's
    ATOM = "atom"
    CONTENT = "content"
    DC = "dc"
    ITUNES = "itunes"
    PODCAST = "podcast"
    OTHER = "other"


# What feedparser is to see; of the rest it would take a media:title for the title of an item.
FOR_FEEDPARSER = frozenset([Vocabulary.RSS, Vocabulary.ATOM, Vocabulary.CONTENT, Vocabulary.DC])

_RSS = (
    "purl.org/rss/1.0/",
    "backend.userland.com/rss",
    "blogs.law.harvard.edu/tech/rss",
    "my.netscape.com/rdf",
)
_ATOM = ("www.w3.org/2005/atom", "purl.org/atom/ns#")
_XML = "{http://www.w3.org/XML/1998/namespace}"


def tree(xml: bytes, recover: bool = False) -> etree._Element | None:
    """The root of a document (UTF-8) of strangers, null where it is no XML.

    No network, no DTD, no entities, depth ≤ 256, texts ≤ 10 MB (libxml2's own limits), attributes as capped.
    """
    parser = etree.XMLParser(
        recover=recover, resolve_entities=False, load_dtd=False, dtd_validation=False, no_network=True,
        huge_tree=False, remove_comments=True, remove_pis=True, strip_cdata=False, encoding="utf-8",
    )  # fmt: skip
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError:
        return None
    for element in root.iter() if root is not None else ():
        if len(element.attrib) > MAX_ATTRIBUTES:
            kept = [(name, element.get(name)) for name in islice(element.attrib, MAX_ATTRIBUTES)]
            element.attrib.clear()
            element.attrib.update(kept)
    return root


@lru_cache(maxsize=4096)
def word(tag: str) -> tuple[Vocabulary, str]:
    """(vocabulary, local name) of an lxml tag; `podcast:x` without a namespace is meant as one."""
    uri, _, local = tag[1:].partition("}") if tag.startswith("{") else ("", "", tag)
    uri = uri.lower().partition("://")[2] or uri.lower()
    if not uri:
        prefix, _, bare = local.rpartition(":")
        if not prefix:
            return Vocabulary.RSS, local
        known = prefix.lower() in (Vocabulary.ITUNES, Vocabulary.PODCAST, Vocabulary.CONTENT, Vocabulary.DC)
        return (Vocabulary(prefix.lower()), bare) if known else (Vocabulary.OTHER, bare)
    if "itunes.com/dtds/podcast" in uri:
        return Vocabulary.ITUNES, local
    if "podcastindex.org/namespace" in uri or "podcast-namespace" in uri:
        return Vocabulary.PODCAST, local
    if uri.startswith(_ATOM):
        return Vocabulary.ATOM, local
    if uri.startswith("purl.org/rss/1.0/modules/content"):
        return Vocabulary.CONTENT, local
    if uri.startswith(("purl.org/dc/elements/", "purl.org/dc/terms/")):
        return Vocabulary.DC, local
    if uri in _RSS or uri.startswith("backend.userland.com/rss"):
        return Vocabulary.RSS, local
    return Vocabulary.OTHER, local


class Tags:
    """The direct children of a channel or item, by vocabulary and name, in document order."""

    def __init__(self, element: etree._Element | None) -> None:
        self._found: dict[Vocabulary, dict[str, list[etree._Element]]] = {}
        for child in element if element is not None else ():
            if isinstance(child.tag, str):
                vocabulary, name = word(child.tag)
                self._found.setdefault(vocabulary, {}).setdefault(name, []).append(child)

    def all(self, vocabulary: Vocabulary, name: str) -> list[etree._Element]:
        return self._found.get(vocabulary, {}).get(name, [])

    def first(self, vocabulary: Vocabulary, name: str) -> etree._Element | None:
        found = self.all(vocabulary, name)
        return found[0] if found else None

    def names(self, vocabulary: Vocabulary) -> list[str]:
        return list(self._found.get(vocabulary, ()))

    def itunes(self, name: str) -> str | None:
        """The text of the first itunes: tag of that name that has one."""
        return self._text(Vocabulary.ITUNES, name)

    def podcast(self, name: str) -> str | None:
        return self._text(Vocabulary.PODCAST, name)

    def _text(self, vocabulary: Vocabulary, name: str) -> str | None:
        return next(filter(None, map(text_of, self.all(vocabulary, name))), None)

    def podcast_tags(self) -> dict[str, list[Tag]]:
        """All podcast: tags, known or not. Raises FeedUnreadable (TOO_MANY_ITEMS) beyond MAX_TAGS."""
        return {
            name: as_dicts(elements) for name, elements in self._found.get(Vocabulary.PODCAST, {}).items()
        }


def as_dicts(elements: list[etree._Element]) -> list[Tag]:
    """Tags with all that is in them. Raises FeedUnreadable (TOO_MANY_ITEMS) beyond MAX_TAGS."""
    room = [MAX_TAGS]
    return [_as_dict(element, room) for element in elements]


def text_of(element: etree._Element | None) -> str | None:
    """The text of an element and of what is between its children, null when blank."""
    if element is None:
        return None
    text = element.text or ""
    if len(element):
        text += "".join(child.tail or "" for child in element)
    return text.strip() or None


def _as_dict(element: etree._Element, room: list[int], depth: int = 0) -> Tag:
    room[0] -= 1
    if room[0] < 0:
        raise FeedUnreadable(Reason.TOO_MANY_ITEMS, f"more than {MAX_TAGS:,} tags of one name in one place")
    found: Tag = {}
    text = text_of(element)
    if text:
        found["text"] = text
    for child in element if depth < MAX_DEPTH else ():
        if isinstance(child.tag, str):
            found.setdefault(_name(child), []).append(_as_dict(child, room, depth + 1))
    for written, value in element.attrib.items():
        name = written.replace(_XML, "xml:") if written.startswith(_XML) else written.rpartition("}")[2]
        found[f"@{name}" if name in found else name] = value
    return found


def _name(element: etree._Element) -> str:
    vocabulary, local = word(element.tag)
    if vocabulary in (Vocabulary.PODCAST, Vocabulary.RSS):
        return local if local != "text" else f"{vocabulary}:text"
    prefix = vocabulary.value if vocabulary is not Vocabulary.OTHER else element.prefix
    return f"{prefix}:{local}" if prefix else local
