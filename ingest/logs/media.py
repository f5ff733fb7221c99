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


def is_media_path(path: pl.Expr, has_target: pl.Expr) -> pl.Expr:
    """Could this canonical path be an enclosure's? Null: the content type decides (see is_page_type)."""
    extension = path.str.extract(EXTENSION).str.to_lowercase().fill_null("")
    is_nothing = path.str.ends_with("/") | ~has_target | extension.is_in(NOT_MEDIA)
    return pl.when(is_nothing).then(False).when(extension.is_in(MEDIA)).then(True)


def is_page_type(content_types: pl.Series) -> pl.Series:
    """Which content types (String) are a page's, a picture's or a playlist's? An absent one is not."""
    pages = content_types.drop_nulls().unique()
    pages = pages.filter(pages.str.contains(_PAGE_TYPES))
    return content_types.is_in(pages.implode()).fill_null(False)
