"""The life of one scripted podcast: its versions, the spells in which it answers otherwise, what happened.

A `Script` is acted on in order of time; each act adds a version and writes down what happened, field by
field, as the truth. Nothing here uses the product's code. Instants: epoch microseconds, on whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from earshot.made_up.feeds.content import HOUR, SECOND, Channel, Feed, Item, LiveItem, differences, taken_out
from earshot.made_up.feeds.xml import Style

FOR_EVER = 2**62
_WORDS = (
    "night", "river", "signal", "market", "garden", "engine", "history", "voice", "winter", "border",
    "harbour", "letter", "science", "kitchen", "football", "planet", "memory", "question", "money", "street",
)  # fmt: skip
_BEYOND_ASCII = ("Überblick", "café", "señal", "forêt", "Straße", "smørrebrød")


@dataclass(frozen=True)
class Version:
    """What the feed says from `at_us` on, until the next version."""

    at_us: int
    feed: Feed


@dataclass(frozen=True)
class Spell:
    """A time in which the podcast's first address does not simply answer with its feed.

    `how`: server_error, busy, not_found, gone, html_page, truncated, cut_off, silent, endless; moved (301 to
    the second address), elsewhere (302 to it), stranger (301 to it, where another podcast is); stale (some
    answers are the version before the spell's), flapping (the same, for ever).
    """

    from_us: int
    to_us: int
    how: str


@dataclass(frozen=True)
class Happened:
    """One change of the truth, at the instant it could first be seen."""

    at_us: int
    change: str  # as ingest.feeds.schema.ChangeType
    guid: str | None = None
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Podcast:
    """A podcast whose script is written: all that ever happens to it."""

    number: int
    kind: str
    show_id: str
    urls: tuple[str, str]  # where it is registered, and where it may move to
    style: Style
    versions: tuple[Version, ...]
    spells: tuple[Spell, ...]
    happened: tuple[Happened, ...]
    stranger: Feed | None  # what the second address has during a spell `stranger`
    max_age_s: int | None = None  # of its Cache-Control
    validators: str = "etag"  # etag | weak | bare | date | none


@dataclass(frozen=True)
class Habits:
    """How a publisher keeps the feed."""

    limit: int = 50  # items in the feed: older ones slide out
    has_guids: bool = True
    recycles_guid: bool = False  # the newest episode always has the same guid
    beyond_ascii: bool = False
    keeps_files: bool = False  # never exchanges a file or corrects its duration


class Script:
    """Writes one podcast's life. Acts must come in order of time."""

    def __init__(
        self, rng: Random, number: int, slug: str, habits: Habits, channel: Channel, times_us: list[int]
    ) -> None:
        """`times_us`: when the episodes came out that the feed has from the beginning, oldest first."""
        self.rng, self.number, self.slug, self.habits = rng, number, slug, habits
        self.published = 0
        items: list[Item] = []
        for at_us in times_us:
            items.insert(0, self.new_item(at_us - at_us % SECOND))
        self._begin(Feed(channel, tuple(items[: habits.limit])), 0)

    @classmethod
    def beginning_with(cls, rng: Random, number: int, slug: str, habits: Habits, feed: Feed) -> Script:
        """A script that begins with a given feed."""
        script = cls(rng, number, slug, habits, feed.channel, [])
        script.published = len(feed.items)
        script._begin(feed, 0)
        return script

    def _begin(self, feed: Feed, at_us: int) -> None:
        self.feed = feed
        self.versions = [Version(at_us, feed)]
        self.spells: list[Spell] = []
        self.happened: list[Happened] = []
        self.known = {item.identity: item for item in feed.items}  # all there ever were, as last seen
        self.first_seen = {item.identity: item.published_us or 0 for item in feed.items}
        self.removed: list[Item] = []
        self.stranger: Feed | None = None
        self.quiet: list[tuple[int, int]] = []  # from … to: nothing is published or edited

    # --- episodes

    def publish(self, at_us: int, item: Item | None = None) -> None:
        """A new episode on top; what no longer fits slides out at the bottom."""
        item = item or self.new_item(at_us - self.rng.randrange(60, 600) * SECOND)
        known, others = (
            self.known.get(item.identity),
            [i for i in self.feed.items if i.identity != item.identity],
        )
        if known is None:
            self._note(at_us, "episode.created", item.identity)
        elif changed := differences(known, item):
            self._note(at_us, "episode.updated", item.identity, changed)
        self.known[item.identity] = item
        self.first_seen.setdefault(item.identity, at_us)
        kept = (item, *others)[: self.habits.limit]
        self._note_leavers(at_us, kept)
        self._change(at_us, replace(self.feed, items=kept))

    def edit(self, at_us: int, identity: str, **changes: object) -> None:
        """The episode says something else; nothing that is part of its identity."""
        old = self.feed.item(identity)
        new = replace(old, **changes)  # type: ignore[arg-type]
        assert new.identity == identity
        if changed := differences(old, new):
            self._note(at_us, "episode.updated", identity, changed)
        self.known[identity] = new
        items = tuple(new if item is old else item for item in self.feed.items)
        self._change(at_us, replace(self.feed, items=items))

    def remove(self, at_us: int) -> None:
        """Takes an episode out from between the newest and the oldest."""
        if len(self.feed.items) > 2:
            self.take_out(at_us, self.rng.choice(self.feed.items[1:-1]))

    def take_out(self, at_us: int, gone: Item) -> None:
        """An episode is no longer in the feed, without being pushed out."""
        kept = tuple(item for item in self.feed.items if item is not gone)
        self.removed.append(gone)
        self._note_leavers(at_us, kept)
        self._change(at_us, replace(self.feed, items=kept))

    def restore(self, at_us: int) -> None:
        """An episode that was taken out is back at its place, unless it is too old by now."""
        if not self.removed:
            return
        back = self.removed.pop()
        items = sorted((*self.feed.items, back), key=lambda item: item.published_us or 0, reverse=True)
        if len(items) > self.habits.limit or items[-1] is back:
            return
        self._note(at_us, "episode.updated", back.identity, frozenset({"removed_us"}))
        self._change(at_us, replace(self.feed, items=tuple(items)))

    def edit_something(self, at_us: int) -> None:
        """One of the edits that publishers make, to one of the episodes."""
        rng, item = self.rng, self.rng.choice(self.feed.items)
        edits: list[Callable[[], dict[str, object]]] = [
            lambda: {"title": self.words(4) + f" ({self.published}.{rng.randrange(99)})"},
            lambda: {"description": self.sentences(3)},
            lambda: {"title": self.words(5), "description": self.sentences(2)},
            lambda: {"episode_type": rng.choice(("full", "bonus", "trailer"))},
            lambda: {"is_explicit": not item.is_explicit},
            lambda: {"season": (item.season or 0) + 1},
            lambda: {"image_url": f"https://img.example/{self.slug}/{rng.getrandbits(32):08x}.jpg"},
            lambda: {"chapters_url": f"https://meta.example/{self.slug}/{rng.getrandbits(32):08x}.json"},
            lambda: {"transcripts": (f"https://meta.example/{self.slug}/{rng.getrandbits(32):08x}.vtt",)},
            lambda: {"persons": (*item.persons[-3:], self.words(2).title())},
            lambda: {"link": f"https://www.example/{self.slug}/{rng.getrandbits(32):08x}"},
        ]
        if not self.habits.keeps_files:
            edits.append(lambda: {"duration_s": float(rng.randrange(300, 7000))})
            if self.habits.has_guids:  # without one the file is what the episode is known by
                edits.append(lambda: self.new_enclosure(at_us))
        self.edit(at_us, item.identity, **rng.choice(edits)())

    def edit_newest_title(self, at_us: int) -> None:
        newest = self.feed.items[0]
        self.edit(at_us, newest.identity, title=f"{newest.title} (corrected)")

    # --- the podcast

    def edit_channel(self, at_us: int, **changes: object) -> None:
        old = self.feed.channel
        new = replace(old, **changes)  # type: ignore[arg-type]
        if changed := differences(old, new):
            self._note(at_us, "podcast.updated", None, changed)
        self._change(at_us, replace(self.feed, channel=new))

    def edit_channel_somehow(self, at_us: int) -> None:
        """One of the edits that publishers make to the podcast itself."""
        rng, channel = self.rng, self.feed.channel
        edits: list[dict[str, object]] = [
            {"title": f"{self.words(2).title()} {rng.randrange(1000)}"},
            {"description": self.sentences(4)},
            {"author": self.words(2).title()},
            {"owner_email": f"{self.words(1)}{rng.randrange(1000)}@{self.slug}.example"},
            {"image_url": f"https://img.example/{self.slug}/{rng.getrandbits(32):08x}.jpg"},
            {
                "categories": (
                    rng.choice(("Arts > Design", "News > Politics", "Comedy", "Science > Physics")),
                )
            },
            {"copyright": f"© {2000 + rng.randrange(27)} {self.slug}"},
            {"funding": f"https://pay.example/{self.slug}/{rng.randrange(1000)}"},
            {"is_locked": not channel.is_locked},
            {"license": rng.choice(("cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0"))},
            {"is_explicit": not channel.is_explicit},
        ]
        self.edit_channel(at_us, **rng.choice(edits))

    def live(self, at_us: int, status: str) -> None:
        """A live item is announced (`pending`), begins (`live`) or is over (`ended`)."""
        channel = self.feed.channel
        if status == "pending":
            items: tuple[LiveItem, ...] = (
                LiveItem(f"{self.slug}-live-{at_us // SECOND}", self.words(3), at_us + 2 * HOUR),
            )
        else:
            items = tuple(replace(item, status=status) for item in channel.live)
        self.edit_channel(at_us, live=items)
        if status == "live":
            self._note(at_us, "podcast.live")

    def spell(self, from_us: int, to_us: int, how: str) -> None:
        self.spells.append(Spell(from_us, to_us, how))

    # --- words

    def new_item(self, published_us: int) -> Item:
        self.published += 1
        rng, number = self.rng, self.published
        guid = "latest" if self.habits.recycles_guid else f"{self.slug}-{number:05d}"
        enclosure = self.new_enclosure(published_us)
        return Item(
            guid=guid if self.habits.has_guids else None,
            title=f"{self.words(4)} {number}",
            published_us=published_us,
            description=self.sentences(1 + rng.randrange(3)),
            subtitle=self.words(6) if rng.random() < 0.3 else None,
            content_html=f"<p>{self.sentences(2)}</p>" if rng.random() < 0.3 else None,
            link=f"https://www.example/{self.slug}/{number}",
            author=self.words(2).title() if rng.random() < 0.5 else None,
            is_explicit=False,
            episode_type="full",
            season=1,
            episode=number,
            **enclosure,  # type: ignore[arg-type]
        )

    def new_enclosure(self, at_us: int) -> dict[str, object]:
        """Another audio file: URL, size and duration."""
        seconds = self.rng.randrange(240, 6000)
        name = f"{at_us // SECOND:x}-{self.rng.getrandbits(24):06x}.mp3"
        url = f"https://media{self.number % 7}.files.example/{self.slug}/{name}"
        size = seconds * 16_000 + self.rng.randrange(2_000)
        return {"enclosure_canonical": url, "enclosure_bytes": size, "duration_s": float(seconds)}

    def words(self, number: int) -> str:
        words = [self.rng.choice(_WORDS) for _ in range(number)]
        if self.habits.beyond_ascii:
            words[-1] = self.rng.choice(_BEYOND_ASCII)
        return " ".join(words)

    def sentences(self, number: int) -> str:
        return " ".join(f"{self.words(8).capitalize()} {self.rng.randrange(1000)}." for _ in range(number))

    # --- the record of it

    def _change(self, at_us: int, feed: Feed) -> None:
        assert at_us >= self.versions[-1].at_us, "acts must come in order of time"
        self.feed = feed
        self.versions.append(Version(at_us, feed))

    def _note(
        self, at_us: int, change: str, guid: str | None = None, fields: frozenset[str] = frozenset()
    ) -> None:
        self.happened.append(Happened(at_us, change, guid, fields))

    def _note_leavers(self, at_us: int, kept: tuple[Item, ...]) -> None:
        for item in taken_out(self.feed.items, kept, self.first_seen):
            self._note(at_us, "episode.removed", item.identity)
