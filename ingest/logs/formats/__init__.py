"""One module a log format: how it is recognised, which field means what. A new one is a line in FORMATS."""

from __future__ import annotations

from ingest.logs.errors import FileRefused
from ingest.logs.formats import akamai, bunny, caddy, cloudflare, cloudfront, fastly, nginx, prefix
from ingest.logs.formats.base import Format

FORMATS: dict[str, Format] = {
    module.NAME: module for module in (cloudfront, fastly, cloudflare, akamai, bunny, nginx, caddy, prefix)
}


def detect(head: bytes) -> Format:
    """The format of a file that begins with `head`. Raises FileRefused, saying what was seen."""
    for log_format in FORMATS.values():
        if log_format.sniff(head):
            return log_format
    raise FileRefused(f"no known log format: {_seen(head)}; known are {', '.join(FORMATS)}")


def _seen(head: bytes) -> str:
    """What the first line that is not blank looks like, without its content: it may hold an address."""
    line = next((line for line in head.split(b"\n") if line.strip()), b"")
    if not line:
        return "there are only blank lines"
    if line.lstrip().startswith(b"{"):
        return "JSON lines with other keys"
    if line.startswith(b"#"):
        return "a '#' header without CloudFront's fields"
    return f"the first line has {line.count(b'	') + 1} tab-separated fields and no #Fields line before it"
