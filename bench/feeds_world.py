"""A million registered feeds over thousands of host names: what we hold of them, what they answer, the truth.

Podcast `number` (0 … PODCASTS-1) answers 304 to the validators we hold, or, one in ten, 200 with a body of
EPISODES episodes: a new one on top, an edited one, the oldest pushed out; one in a hundred of those differs
only in its lastBuildDate or in the tokens of its enclosures, which is no change. Bodies come from TEMPLATES
documents; only the channel's title, link, guid and addresses are the podcast's own. bench/feeds_server.py
plays it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from random import Random

import polars as pl

from earshot.made_up.feeds.content import DAY, HOUR, Channel, Feed, Item
from earshot.made_up.feeds.truth import Change
from earshot.made_up.feeds.xml import Style, render, rfc822

PODCASTS = 1_000_000
HOSTS = 5_000
TEMPLATES = 200
NOISE_TEMPLATES = 20  # of them those of podcasts that only seem to change
EPISODES = 100
START_US = 1_788_220_800_000_000  # 2026-09-01; the held versions are of a day before
CHANGED_PER_MILLE, NOISE_PER_MILLE = 100, 1  # the second among the first

_NUMBER, _HOST = "\x01", "\x02"  # in a template: the places of a podcast's number and of its host's
_MIX = 2_654_435_761  # Knuth's multiplier: neighbours get unlike kinds and templates


class Kind(StrEnum):
    """What a podcast's server has that we do not hold."""

    SAME = "same"  # nothing: 304
    CHANGED = "changed"  # a new episode and an edited one
    REBUILT = "rebuilt"  # another lastBuildDate
    TOKENS = "tokens"  # … and another token in each enclosure URL


def kind_of(number: int) -> Kind:
    share = _mixed(number) % 1_000
    if share >= CHANGED_PER_MILLE:
        return Kind.SAME
    if share >= NOISE_PER_MILLE:
        return Kind.CHANGED
    return Kind.TOKENS if _mixed(number) & 1024 else Kind.REBUILT


def template_of(number: int) -> int:
    is_noise = kind_of(number) in (Kind.REBUILT, Kind.TOKENS)
    return (_mixed(number) >> 12) % (NOISE_TEMPLATES if is_noise else TEMPLATES)


def _mixed(number: int) -> int:
    return number * _MIX & 0xFFFF_FFFF


# --- addresses and what we hold


def host_of(number: int) -> str:
    return f"feeds-{number % HOSTS:04d}.bench.example"


def url_of(number: int) -> str:
    return f"http://{host_of(number)}/p/{number:07d}.xml"


def hosts() -> list[str]:
    """All host names, for the fetcher's resolve map."""
    return [host_of(number) for number in range(HOSTS)]


def held(numbers: pl.Series) -> pl.DataFrame:
    """number, feed_url, etag, last_modified: the crawl state in which a sweep finds the podcasts."""
    number = pl.col("number")
    wide = number.cast(pl.String).str.zfill(7)
    host = (number % HOSTS).cast(pl.String).str.zfill(4)
    return numbers.alias("number").to_frame().select(
        number,
        feed_url=pl.format("http://feeds-{}.bench.example/p/{}.xml", host, wide),
        etag=pl.format('"{}-1"', wide),
        last_modified=pl.lit(MODIFIED[1]),
    )  # fmt: skip


MODIFIED = {1: rfc822(START_US - DAY, "GMT"), 2: rfc822(START_US + HOUR, "GMT")}


def expected(number: int) -> Counter[Change]:
    """The changes a sweep must record, in the shape of `earshot.made_up.feeds.truth`."""
    if kind_of(number) is not Kind.CHANGED:
        return Counter()
    template = _items_of(template_of(number))
    return Counter({
        ("episode.created", template.new.guid, frozenset()): 1,
        ("episode.updated", template.edited.guid, frozenset({"title", "description"})): 1,
    })  # fmt: skip


# --- bodies


@dataclass(frozen=True)
class _Items:
    held: tuple[Item, ...]  # newest first
    new: Item
    edited: Item  # as it reads now


@cache
def _items_of(template: int) -> _Items:
    rng = Random(f"bench feeds {template}")
    words = _vocabulary()

    def text(number: int) -> str:
        return " ".join(rng.choices(words, k=number))

    def item(age: int) -> Item:
        number, seconds = EPISODES + 1 - age, rng.randrange(300, 6_000)
        tag = f"t{template:03d}-{number:04d}"
        return Item(
            guid=f"{tag}-{rng.getrandbits(64):016x}",
            title=f"{number}: {text(6)}",
            published_us=START_US - age * DAY + rng.randrange(HOUR // 10**6) * 10**6,
            description=text(40),
            content_html=f"<p>{text(60)}</p><p><a href='https://www.example/{tag}'>{text(4)}</a></p>",
            enclosure_canonical=f"https://media.files.example/{tag}/{rng.getrandbits(64):016x}.mp3",
            enclosure_bytes=seconds * 16_000 + rng.randrange(2_000),
            duration_s=float(seconds),
            itunes_title=text(5),
            subtitle=text(10),
            link=f"https://www.example/{tag}",
            author=text(2),
            is_explicit=False,
            episode_type="full",
            season=1 + number // 20,
            episode=number,
            image_url=f"https://img.example/{tag}.jpg",
            keywords=tuple(rng.sample(words, 4)),
            chapters_url=f"https://meta.example/{tag}.json",
            transcripts=(f"https://meta.example/{tag}.vtt",),
            persons=(text(2), text(2)),
        )

    newest, *old = [item(age) for age in range(EPISODES + 1)]
    edited = old[rng.randrange(1, EPISODES - 1)]
    return _Items(tuple(old), newest, replace(edited, title=f"{text(7)} (corrected)", description=text(45)))


@cache
def _vocabulary() -> list[str]:
    rng = Random("vocabulary")
    return [
        "".join(rng.choices("aaabcdeeeefghiiklmnnooprrssttuvwyz", k=rng.randrange(2, 11)))
        for _ in range(2_000)
    ]


def _channel(template: int) -> Channel:
    return Channel(
        title=f"Podcast {_NUMBER}",
        description=f"A podcast after template {template}.",
        link=f"https://www.example/{_NUMBER}",
        podcast_guid=f"be4c0000-0000-5000-8000-00000{_NUMBER}",
        subtitle="Made to be measured",
        copyright="CC0",
        author="The bench",
        owner_name="Bench",
        owner_email="bench@podcasts.example",
        image_url="https://img.example/cover.jpg",
        categories=("Society & Culture > Documentary", "News"),
        show_type="episodic",
        medium="podcast",
        is_locked=True,
        license="cc-by-4.0",
        funding="https://pay.example/",
        location="Everywhere",
    )


def document(template: int, kind: Kind | None) -> bytes:
    """The template's document with places instead of number and host; `kind` None: as we hold it."""
    said, style = _items_of(template), Style()
    items = said.held
    if kind is Kind.CHANGED:
        kept = (said.edited if item.guid == said.edited.guid else item for item in said.held[:-1])
        items = (said.new, *kept)
    if kind is Kind.TOKENS:
        style = Style(tokens="edit")
    built = START_US - DAY if kind is None else START_US + HOUR
    url = f"http://feeds-{_HOST}.bench.example/p/{_NUMBER}.xml"
    return render(Feed(_channel(template), items), style, url, built, built)


def body(number: int, as_held: bool = False) -> bytes:
    """The decompressed body of a podcast: what its server has now, or what we hold of it."""
    return patched(document(template_of(number), None if as_held else _served_kind(number)), number)


def _served_kind(number: int) -> Kind | None:
    return None if kind_of(number) is Kind.SAME else kind_of(number)


def patched(text: bytes, number: int) -> bytes:
    return text.replace(_NUMBER.encode(), b"%07d" % number).replace(
        _HOST.encode(), b"%04d" % (number % HOSTS)
    )


# --- what the product would hold: parsed once a template, then renamed


@dataclass(frozen=True)
class Rows:
    """PODCASTS, ITEMS and EPISODES rows (any further columns are kept as they are)."""

    podcasts: pl.DataFrame
    items: pl.DataFrame
    episodes: pl.DataFrame


def exemplar_of(template: int) -> int:
    """The podcast whose `body(…, as_held=True)` the product is to take in, to make the template's rows."""
    # Without a row of zeros, which would also be found elsewhere in its texts.
    return next(number for number in range(PODCASTS // 9, PODCASTS) if template_of(number) == template)


def previous_rows(
    taken_in: Rows,
    exemplar: int,
    numbers: Sequence[int],
    podcast_key: Callable[[str], int],
    episode_key: Callable[[int, str], int],
) -> Rows:
    """The rows of podcasts of one template, made from those the product made of its exemplar.

    `taken_in`: one podcast, from `body(exemplar, as_held=True)` at `url_of(exemplar)`. Keys are named anew;
    of texts only those of PODCASTS rows hold the podcast's number and host. `record_hash` of the podcast and
    `header_hash` stay the exemplar's: the caller computes them where the product relies on them.
    """
    keys = [podcast_key(url_of(number)) for number in numbers]
    row = taken_in.podcasts.row(0, named=True)
    podcasts = [
        {
            name: _renamed(value, exemplar, number) if isinstance(value, str) else value
            for name, value in row.items()
        }
        | {"podcast_key": key}
        for number, key in zip(numbers, keys, strict=True)
    ]
    guids = taken_in.episodes["guid"].to_list()
    guid_of = dict(zip(taken_in.episodes["episode_key"], guids, strict=True))
    listed = [guid_of[old] for old in taken_in.items["episode_keys"][0]]
    return Rows(
        pl.DataFrame(podcasts, schema=taken_in.podcasts.schema),
        pl.concat([taken_in.items] * len(keys)).with_columns(
            podcast_key=pl.Series(keys, dtype=pl.Int64),
            episode_keys=pl.Series([[episode_key(key, guid) for guid in listed] for key in keys]),
        ),
        pl.concat([taken_in.episodes] * len(keys)).with_columns(
            podcast_key=pl.Series([key for key in keys for _ in guids], dtype=pl.Int64),
            episode_key=pl.Series([episode_key(key, guid) for key in keys for guid in guids], dtype=pl.Int64),
        ),
    )


def _renamed(text: str, exemplar: int, number: int) -> str:
    return text.replace(f"{exemplar:07d}", f"{number:07d}").replace(
        f"feeds-{exemplar % HOSTS:04d}.", f"feeds-{number % HOSTS:04d}."
    )
