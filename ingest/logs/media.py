"""Could a URL be an enclosure? By its extension, else by the content type of the answer."""

from __future__ import annotations

import polars as pl

EXTENSION = r"\.([A-Za-z0-9]{1,11})$"

NOT_MEDIA = [
    "jpg", "jpeg", "png", "webp", "gif", "svg", "avif", "bmp", "tif", "tiff", "ico",
    "xml", "rss", "atom", "json", "html", "htm", "xhtml", "css", "js", "mjs", "map", "txt", "md", "csv",
    "pdf", "vtt", "srt", "m3u", "m3u8", "mpd", "pls",
    "woff", "woff2", "ttf", "otf", "eot", "php", "asp", "aspx", "jsp", "cgi", "webmanifest", "gz", "zip",
]  # fmt: skip
MEDIA = [
    "mp3", "m4a", "m4b", "mp4", "m4v", "m4s", "aac", "ogg", "oga", "ogv", "opus", "flac", "wav", "wma", "caf",
    "mov", "webm", "mpg", "mpeg", "mpga", "mp2", "avi", "mkv", "aif", "aiff", "3gp", "ts", "amr",
]  # fmt: skip
_PAGE_TYPES = (
    r"(?i)^(?:text/|image/|font/|application/(?:json|xml|javascript|pdf|dash|x-mpegurl|vnd\.apple\.mpegurl"
    r"|[a-z.-]*\+(?:json|xml)))"
)


def is_media() -> pl.Expr:
    """Columns extension, ends_in_slash, has_target, content_type → could this be an enclosure?

    The extension decides where it is known, else the content type; a bare path without either is media.
    """
    known = pl.when(pl.col("extension").is_in(NOT_MEDIA)).then(False).when(pl.col("extension").is_in(MEDIA))
    is_page = pl.col("content_type").str.contains(_PAGE_TYPES).fill_null(False)
    could_be = known.then(True).otherwise(~is_page)
    return could_be & ~pl.col("ends_in_slash") & pl.col("has_target")
