"""A scripted feed as the bytes a server sends: RSS 2.0 with the iTunes and podcast namespaces.

A `Style` holds what differs between publishers without meaning anything: the encoding, tokens in URLs, a
lastBuildDate that always moves, a namespace prefix of their own, CDATA.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from html import escape
from xml.sax.saxutils import quoteattr

from earshot.made_up.feeds.content import SECOND, Channel, Feed, Item, LiveItem

NAMESPACES = {
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "atom": "http://www.w3.org/2005/Atom",
    "podcast": "https://podcastindex.org/namespace/1.0",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Style:
    """How a publisher writes."""

    encoding: str = "utf-8"  # of the bytes
    declared: str = "UTF-8"  # in the XML declaration; other than `encoding` in a feed that is wrong about it
    cdata: bool = False  # descriptions in CDATA instead of escaped
    tokens: str = ""  # "" | "edit": another token with each version | "fetch": with each fetch
    build_date: str = "edit"  # lastBuildDate moves with each version ("edit") or with each fetch ("fetch")
    durations: str = "seconds"  # 3723 | "clock": 1:02:03
    dates: str = "+0000"  # the zone as written: +0000, GMT, -0500
    generator: str = "Scripted Feeds 1.0"
    newline: str = "\n"


def render(feed: Feed, style: Style, url: str, version_us: int, now_us: int) -> bytes:
    """The document as it is at `now_us`, of a version that began at `version_us`; served at `url`."""
    token = _token(url, {"edit": version_us, "fetch": now_us}[style.tokens]) if style.tokens else ""
    built = now_us if style.build_date == "fetch" else version_us
    lines = [
        f'<?xml version="1.0" encoding="{style.declared}"?>',
        '<rss version="2.0" ' + " ".join(f'xmlns:{k}="{v}"' for k, v in NAMESPACES.items()) + ">",
        "<channel>",
        *_channel(feed.channel, style, url, built),
        *(line for live in feed.channel.live for line in _live_item(live, style)),
    ]
    for item in feed.items:
        lines += ["<item>", *_item(item, style, token), "</item>"]
    lines += ["</channel>", "</rss>", ""]
    return style.newline.join(lines).encode(style.encoding, "xmlcharrefreplace")


def rfc822(instant_us: int, zone: str = "+0000") -> str:
    """As in pubDate; `zone` is +0000, GMT or another numeric offset of whole hours."""
    hours = 0 if zone == "GMT" else int(zone) // 100
    at = datetime.fromtimestamp(instant_us // SECOND + hours * 3600, UTC)
    return f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} {zone}"


def _channel(channel: Channel, style: Style, url: str, built_us: int) -> list[str]:
    lines = [
        _tag("title", channel.title),
        _tag("link", channel.link),
        _text("description", channel.description, style),
        _tag("generator", style.generator),
        _tag("lastBuildDate", rfc822(built_us, style.dates)),
        f"<atom:link href={quoteattr(url)} rel={quoteattr('self')} type={quoteattr('application/rss+xml')}/>",
        _tag("language", channel.language),
        _tag("copyright", channel.copyright),
        _tag("itunes:author", channel.author),
        _tag("itunes:subtitle", channel.subtitle),
        _tag("itunes:explicit", _yes(channel.is_explicit)),
        _tag("itunes:type", channel.show_type),
        _tag("itunes:complete", "Yes" if channel.is_complete else None),
        _tag("itunes:new-feed-url", channel.announced_url),
        _tag("podcast:guid", channel.podcast_guid),
        _tag("podcast:medium", channel.medium),
        _tag("podcast:locked", {None: None, True: "yes", False: "no"}[channel.is_locked]),
        _tag("podcast:license", channel.license),
        _tag("podcast:location", channel.location),
    ]
    if channel.owner_name or channel.owner_email:
        name, email = (
            _tag("itunes:name", channel.owner_name),
            _tag("itunes:email", channel.owner_email),
        )
        lines.append(f"<itunes:owner>{name}{email}</itunes:owner>")
    if channel.image_url:
        lines.append(f"<itunes:image href={quoteattr(channel.image_url)}/>")
    for category in channel.categories:
        above, _, below = category.partition(" > ")
        inner = f"<itunes:category text={quoteattr(below)}/>" if below else ""
        lines.append(f"<itunes:category text={quoteattr(above)}>{inner}</itunes:category>")
    if channel.update_frequency:
        rule = quoteattr(channel.update_frequency)
        lines.append(f"<podcast:updateFrequency rrule={rule}>as it comes</podcast:updateFrequency>")
    if channel.funding:
        lines.append(f"<podcast:funding url={quoteattr(channel.funding)}>Support us</podcast:funding>")
    return [line for line in lines if line]


def _item(item: Item, style: Style, token: str) -> list[str]:
    published = item.published_raw
    if published is None and item.published_us is not None:
        published = rfc822(item.published_us, style.dates)
    url = item.enclosure_canonical
    if token:
        url += f"{'&' if '?' in url else '?'}token={token}"
    lines = [
        _tag("title", item.title),
        f'<guid isPermaLink="false">{escape(item.guid)}</guid>' if item.guid is not None else "",
        _tag("pubDate", published),
        _tag("link", item.link),
        _text("description", item.description, style),
        _text("content:encoded", item.content_html, style),
        f"<enclosure url={quoteattr(url)} length={quoteattr(str(item.enclosure_bytes))}"
        f" type={quoteattr(item.enclosure_type)}/>",
        _tag("itunes:duration", _duration(item.duration_s, style)),
        _tag("itunes:title", item.itunes_title),
        _tag("itunes:subtitle", item.subtitle),
        _tag("itunes:author", item.author),
        _tag("itunes:explicit", _yes(item.is_explicit)),
        _tag("itunes:episodeType", item.episode_type),
        _tag("itunes:season", item.season),
        _tag("itunes:episode", item.episode),
        _tag("itunes:keywords", ",".join(item.keywords) or None),
        f"<itunes:image href={quoteattr(item.image_url)}/>" if item.image_url else "",
    ]
    if item.chapters_url:
        lines.append(
            f'<podcast:chapters url={quoteattr(item.chapters_url)} type="application/json+chapters"/>'
        )
    lines += [f'<podcast:transcript url={quoteattr(u)} type="text/vtt"/>' for u in item.transcripts]
    lines += [f'<podcast:person role="guest">{escape(name)}</podcast:person>' for name in item.persons]
    return [line for line in lines if line]


def _live_item(live: LiveItem, style: Style) -> list[str]:
    start = datetime.fromtimestamp(live.start_us // SECOND, UTC)
    return [
        f'<podcast:liveItem status="{live.status}" start="{start:%Y-%m-%dT%H:%M:%S+00:00}">',
        _tag("title", live.title),
        _tag("guid", live.guid),
        '<enclosure url="https://live.example/stream.mp3" type="audio/mpeg" length="33"/>',
        '<podcast:contentLink href="https://live.example/watch">Listen here</podcast:contentLink>',
        "</podcast:liveItem>",
    ]


def _tag(name: str, value: object) -> str:
    return "" if value is None else f"<{name}>{escape(str(value), quote=False)}</{name}>"


def _text(name: str, value: str | None, style: Style) -> str:
    if value is None or not style.cdata:
        return _tag(name, value)
    return f"<{name}><![CDATA[{value}]]></{name}>"


def _yes(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _duration(seconds: float, style: Style) -> str:
    if style.durations == "seconds":
        return f"{seconds:g}"
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _token(url: str, at_us: int) -> str:
    return blake2b(f"{url} {at_us}".encode(), digest_size=8).hexdigest()
