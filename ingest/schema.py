"""The canonical frames, column by column: the one place where names, types and units live.

Keys are 64-bit hashes kept as signed integers, since Spark and most BI tools know no unsigned type.
Instants are epoch microseconds (UTC) until the marts turn them into timestamps.
"""

from __future__ import annotations

from enum import StrEnum

import polars as pl

Schema = dict[str, pl.DataType | type[pl.DataType]]

DAY_US = 86_400_000_000  # instants are epoch microseconds


class SourceClass(StrEnum):
    """What a source can see. The two are never summed (IAB 2.3 §5.2)."""

    SERVER_LOG = "server_log"
    PREFIX = "prefix"


class Exclusion(StrEnum):
    """Why a request by itself does not count, in the order in which the first that applies wins.

    `before_publication` needs the catalogue and is decided in dbt, as are the window-level reasons
    `below_threshold` and `duplicate` (MEASUREMENT §2).
    """

    METHOD = "method"
    STATUS = "status"
    NOT_MEDIA = "not_media"
    PROBE = "probe"
    WATCH_DUPLICATE = "watch_duplicate"
    BOT = "bot"
    BOT_LIBRARY = "bot_library"
    NO_AGENT = "no_agent"
    DATACENTER = "datacenter"
    BOGUS_REFERRER = "bogus_referrer"
    EXCLUDED_ADDRESS = "excluded_address"


class FileStatus(StrEnum):
    """What became of a landing file."""

    TAKEN = "taken"  # its requests are in the lake and count
    HELD = "held"  # its requests are in the lake but a blocking check failed: the marts leave them out
    REJECTED = "rejected"  # not a readable log of this source: nothing of it is in the lake
    DUPLICATE = "duplicate"  # the same bytes were taken in before, under another name


# What a format module yields: one row a line that looks like a request, values as the log has them.
RAW: Schema = {
    "line_number": pl.Int64,  # 1-based, in the unpacked file
    "started_us": pl.Int64,  # start of the request; null: unreadable
    "address": pl.String,
    "method": pl.String,  # null where the format has none
    "host": pl.String,
    "path": pl.String,  # percent-encoding as on the wire, without the query
    "query": pl.String,  # without the question mark
    "status": pl.Int32,  # 0 for `000` and for `-`
    "bytes_sent": pl.Int64,  # as logged; may contain headers (CloudFront)
    "content_length": pl.Int64,  # body length promised in the response
    "range_start": pl.Int64,  # of the response, inclusive
    "range_end": pl.Int64,  # of the response, inclusive
    "resource_bytes": pl.Int64,  # size of the whole file, from Content-Range
    "request_range": pl.String,  # the request's Range header
    "content_type": pl.String,
    "agent": pl.String,  # decoded
    "referrer": pl.String,  # decoded
    "forwarded_for": pl.String,  # X-Forwarded-For as sent; believed only as far as the source's setting says
    "request_id": pl.String,  # null where the format has none
    "line_hash": pl.Int64,  # xxh3 of the whole line where there is no request_id; never written
}

# lake/requests/day=YYYY-MM-DD/*.parquet: one row a logged request.
REQUESTS: Schema = {
    # ids
    "file_id": pl.String,  # 32 hex digits of the landing file's SHA-256
    "line_number": pl.Int64,
    "source": pl.String,
    "source_class": pl.String,
    "rules_version": pl.String,  # under which lists it was judged: lake/rules/<rules_version>.parquet
    "request_key": pl.Int64,  # xxh3(source, id or keyed line, who, what, when): the same when delivered again
    "key_epoch": pl.Int32,  # days since 1970 // 30: whose secret made the keys
    "address_key": pl.Int64,  # HMAC-SHA256 of the address cut by R20, first 64 bits
    "address_key_prev": pl.Int64,  # the same under the epoch before
    "listener_key": pl.Int64,  # (address_key, agent) (R26)
    "listener_key_prev": pl.Int64,
    "enclosure_key": pl.Int64,  # xxh3 of enclosure_url
    # request
    "started_us": pl.Int64,
    "method": pl.String,
    "status": pl.Int32,
    "enclosure_url": pl.String,  # canonical
    "range_start": pl.Int64,  # first byte served
    "served_bytes": pl.Int64,  # body bytes served, clamped to what was promised; 0 in the prefix class
    "resource_bytes": pl.Int64,  # size of the whole file where the log tells it
    "is_first_two": pl.Boolean,  # asked for bytes 0-1 only (R8)
    # who
    "agent": pl.String,  # decoded and repaired, as text
    "agent_type": pl.String,  # app | browser | library | bot | bot_library | unknown | none
    "app": pl.String,
    "device": pl.String,
    "device_category": pl.String,
    "os": pl.String,  # operating system, null when unknown
    "referrer_host": pl.String,
    "referrer_app": pl.String,  # the app or site behind the referrer, for browsers only
    "country": pl.String,  # ISO 3166-1 alpha-2, null when unknown
    "asn": pl.Int64,  # autonomous system the address belongs to, null when unknown
    "network_kind": pl.String,  # residential | mobile | hosting; null when unknown
    # evidence of the judgement, kept so that it can be made again without the address
    "is_media": pl.Boolean,
    "in_datacenter": pl.Boolean,
    "is_bogus_referrer": pl.Boolean,
    "is_excluded_address": pl.Boolean,  # by its network; by its key is told anew
    "referrer_match": pl.String,  # what the referrer would be called if a browser sent it
    # judgement
    "exclusion_reason": pl.String,  # null: qualifies
}
REQUESTS_ORDER = ["enclosure_key", "listener_key", "started_us", "line_number"]

# lake/rejects/<source>.<file_id>.parquet: one row a line (or, with line 0, a file) that could not be read.
REJECTS: Schema = {
    "file_id": pl.String,
    "source": pl.String,
    "file_name": pl.String,
    "line_number": pl.Int64,
    "reason": pl.String,
    "text": pl.String,  # start of the line, addresses removed
}

# lake/files/day=YYYY-MM-DD/<source>.parquet: the ledger, one row a (source, file name, content).
FILES: Schema = {
    "file_id": pl.String,
    "source": pl.String,
    "source_class": pl.String,
    "format": pl.String,
    "file_name": pl.String,  # below the source's landing folder
    "status": pl.String,  # FileStatus
    "reason": pl.String,  # why it is not `taken`, or what is odd about it
    "size_bytes": pl.Int64,  # as landed
    "modified_ns": pl.Int64,
    "lines": pl.Int64,  # data lines: requests + rejects
    "directives": pl.Int64,  # header and blank lines
    "requests": pl.Int64,
    "rejects": pl.Int64,
    "is_truncated": pl.Boolean,
    "first_us": pl.Int64,
    "last_us": pl.Int64,
    "is_comparable": pl.Boolean,  # false: its addresses are cut short, so its listeners are too few
    "days": pl.List(pl.Date),  # event days with rows in lake/requests; those removed for their age are not
    "taken_in_us": pl.Int64,  # first intake; a rerun keeps it
}

# lake/rules/<rules_version>.parquet: the lists behind a rules_version, one row a list.
RULES: Schema = {
    "rules_version": pl.String,  # first 12 hex digits of the SHA-256 over all (list, list_version)
    "list": pl.String,  # agents, prefixes, datacenters, …
    "list_version": pl.String,  # of its content; "none" for an absent list
    "origin": pl.String,  # where it came from: an address, a folder, "built in"
    "fetched_us": pl.Int64,  # when; null for what was not fetched
    "entries": pl.Int64,
}

# lake/restated/day=YYYY-MM-DD.parquet: one row, an event day whose requests were judged again.
RESTATED: Schema = {
    "day": pl.Date,
    "rules_version": pl.String,
    "restated_us": pl.Int64,
}

# lake/restatements/<restated_us>.parquet: the figures that were published before a restatement, one row a
# (date, source class, show, reason); reason null: downloads.
FORMER_FIGURES: Schema = {
    "restated_us": pl.Int64,
    "first_day": pl.Date,  # the event days judged again, first and last
    "last_day": pl.Date,
    "rules_version": pl.String,  # under which they were judged again
    "date": pl.Date,
    "source_class": pl.String,
    "show_id": pl.String,
    "reason": pl.String,
    "published": pl.Int64,  # downloads, or requests of the reason, under the published window rule
    "calendar": pl.Int64,
    "first_touch": pl.Int64,
    "last_touch": pl.Int64,
}

# lake/restatements_told/<restated_us>.parquet: what was first published as the effect of a restatement, one
# row a (date, source class, show, reason): those of fct_restatements. History, which no build finds again.
TOLD_FIGURES: Schema = {
    "restated_us": pl.Int64,
    "first_day": pl.Date,
    "last_day": pl.Date,
    "rules_version": pl.String,
    "date": pl.Date,
    "source_class": pl.String,
    "show_id": pl.String,
    "reason": pl.String,
    "former_published": pl.Int64,  # before the restatement; then the same after it
    "restated_published": pl.Int64,
    "former_calendar": pl.Int64,
    "restated_calendar": pl.Int64,
    "former_first_touch": pl.Int64,
    "restated_first_touch": pl.Int64,
    "former_last_touch": pl.Int64,
    "restated_last_touch": pl.Int64,
}

# lake/kept.parquet: one row once requests were removed for their age, none before.
KEPT: Schema = {
    "first_day": pl.Date,  # requests of earlier event days are gone for good
    "removed_us": pl.Int64,  # when the last ones went
}

# lake/networks.parquet: one row an autonomous system met so far.
NETWORKS: Schema = {
    "asn": pl.Int64,
    "network": pl.String,  # its name
    "network_kind": pl.String,
}

# lake/address_lists.parquet: one row an address of the operator's lists by one of its keys. It acts on
# requests with that address_key or address_key_prev; networks of more than 1,024 addresses are not here.
ADDRESS_LISTS: Schema = {
    "list": pl.String,  # excluded_addresses | included_addresses
    "address_key": pl.Int64,
    "validated_on": pl.Date,
    "expires_on": pl.Date,  # an inclusion: the last day it acts; null: acts until it is taken off the list
    "reason": pl.String,  # as its author wrote it
}

# lake/app_devices/day=YYYY-MM-DD/*.parquet: one row a play that an app told of, by event day. It tells what
# no log can: that two keys are one device. Keys are made as those of requests, of the address of the play.
APP_DEVICES: Schema = {
    "install_key": pl.Int64,  # xxh3 of the installation's own id
    "key_epoch": pl.Int32,
    "address_key": pl.Int64,
    "address_key_prev": pl.Int64,
    "app": pl.String,  # as cleaning names it in requests, so that both make the same device
    "os": pl.String,
    "show_id": pl.String,
    "started_us": pl.Int64,
}

# lake/insertions/day=YYYY-MM-DD/*.parquet: one row a serving in which a dynamic insertion server put a
# collaboration in or, by its holdout, left it out; by event day. A holdout is drawn by a hash of what makes a
# device here, the address and the app and system without versions, and stays the same for a collaboration:
# else the two arms are no random halves. Keys are made as those of requests, of the address served.
INSERTIONS: Schema = {
    "collaboration_id": pl.Int64,
    "key_epoch": pl.Int32,
    "address_key": pl.Int64,
    "address_key_prev": pl.Int64,
    "app": pl.String,  # as cleaning names it in requests, so that both make the same device
    "os": pl.String,
    "started_us": pl.Int64,
    "is_held_out": pl.Boolean,  # it got the episode without the collaboration
}

# lake/catalog/episodes.parquet: one row an enclosure URL of an episode (an episode may have had several).
EPISODES: Schema = {
    "show_id": pl.String,
    "show_title": pl.String,
    "episode_id": pl.String,  # the feed's GUID
    "episode_title": pl.String,
    "published_us": pl.Int64,
    "enclosure_url": pl.String,  # canonical
    "enclosure_key": pl.Int64,
    "episode_key": pl.Int64,  # xxh3(show_id, episode_id)
    "file_bytes": pl.Int64,
    "duration_s": pl.Float64,
    "id3_bytes": pl.Int64,
}


def conform(frame: pl.LazyFrame | pl.DataFrame, schema: Schema) -> pl.LazyFrame:
    """`frame` with exactly the columns of `schema`, in its order and types; absent ones are null."""
    lazy = frame.lazy()
    present = set(lazy.collect_schema().names())
    return lazy.select(
        [
            (pl.col(name).cast(dtype) if name in present else pl.lit(None, dtype).alias(name))
            for name, dtype in schema.items()
        ]
    )
