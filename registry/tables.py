"""The tables of the registry. Their history is registry/migrations; a test holds the two together."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

from ingest.feeds.schema import SHARDS

# As SQLite's INTEGER PRIMARY KEY a key is the row's own place in the file: no second index.
KEY = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class PodcastState(StrEnum):
    """Whether a podcast is polled."""

    ACTIVE = "active"
    GONE = "gone"  # its server said so, 410 (UPDATES §4)
    DEAD = "dead"  # 30 days of 404 or DNS failure: probed monthly
    DEREGISTERED = "deregistered"  # no tenant is left; history stays


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"{column} in ({', '.join(repr(str(value)) for value in values)})", name=column)


podcasts = Table(
    "podcasts",
    metadata,
    Column("podcast_key", KEY, primary_key=True, autoincrement=False),  # of the URL as first registered
    Column("shard", SmallInteger, nullable=False),  # podcast_key & 255
    Column("feed_url", Text, nullable=False),  # where it is fetched
    Column("original_url", Text),  # as registered; null: feed_url, it never moved
    Column("moved_key", BigInteger),  # the key feed_url itself has, where that is another: it moved
    Column("podcast_guid", Text),  # null: not given, and not fetched yet
    Column("itunes_id", BigInteger),
    Column("podcastindex_id", BigInteger),
    Column("show_id", Text),  # null: the podcast_guid
    Column("since_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),  # of a state other than active
    CheckConstraint(f"shard = (podcast_key & {SHARDS - 1})", name="shard"),
    _one_of("state", PodcastState),
)
Index(None, podcasts.c.shard)
# None is unique: an equal guid on another host is a candidate duplicate (UPDATES §4). Nulls are left
# out: they would be a fifth of the work of a load.
for _id in ("moved_key", "podcast_guid", "itunes_id", "podcastindex_id"):
    _known = podcasts.c[_id].is_not(None)
    Index(None, podcasts.c[_id], postgresql_where=_known, sqlite_where=_known)

# Who asked for it: two tenants may track one podcast.
registrations = Table(
    "registrations",
    metadata,
    Column("podcast_key", KEY, ForeignKey(podcasts.c.podcast_key), primary_key=True, autoincrement=False),
    Column("tenant", Text, primary_key=True),
    Column("labels", JSON, nullable=False),  # ["customer", …], sorted
    Column("since_us", BigInteger, nullable=False),
    # SQLite then keeps the rows in the primary key itself: half the file and half the writes.
    sqlite_with_rowid=False,
)

# A counter a shard that grows with every change of its podcasts and registrations; and how far sweeps saw it.
shards = Table(
    "shards",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    Column("generation", BigInteger, nullable=False, server_default="0"),  # of the lake's shard, then
    Column("handed", BigInteger, nullable=False, server_default="0"),  # up to it changes are in the outbox
)

# Notices that a podcast has news; the newest of a podcast and source.
hints = Table(
    "hints",
    metadata,
    Column("podcast_key", KEY, ForeignKey(podcasts.c.podcast_key), primary_key=True, autoincrement=False),
    Column("source", Text, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("noticed_us", BigInteger, nullable=False),
)
Index(None, hints.c.shard)

# Where reading of each update source (podping, Podcast Index change file, …) goes on.
sources = Table(
    "sources",
    metadata,
    Column("source", Text, primary_key=True),
    Column("cursor", Text),  # the source's own: a file name, a block number, an instant
    Column("read_us", BigInteger, nullable=False),
    Column("reason", Text),  # of the last failure; null: the last reading was good
)

# Where a directory says something else than we do of a podcast: for a person to look at.
findings = Table(
    "findings",
    metadata,
    Column("podcast_key", KEY, ForeignKey(podcasts.c.podcast_key), primary_key=True, autoincrement=False),
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),  # podcast_guid | itunes_id | podcastindex_id | feed_url
    Column("ours", Text),
    Column("theirs", Text),  # null: it has nothing
    Column("reason", Text, nullable=False),  # registry.findings.FindingReason
    Column("first_us", BigInteger, nullable=False),  # since when it says so
    Column("last_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


class CollaborationType(StrEnum):
    """How show A came before the listeners of show B (ATTRIBUTION.md)."""

    GUEST_SWAP = "guest_swap"
    PROMO_SWAP = "promo_swap"
    FEED_DROP = "feed_drop"  # an episode of A in B's feed
    HOST_READ = "host_read"
    OTHER = "other"


class CollaborationState(StrEnum):
    """Whether a collaboration goes on."""

    ACTIVE = "active"  # planned, running, or run as planned
    ENDED = "ended"  # stopped at ended_us
    VOID = "void"  # never took place: out of attribution


# Show A (the one that grows) appears in, or is promoted by, an episode of show B, or B for a time.
collaborations = Table(
    "collaborations",
    metadata,
    Column("collaboration_id", KEY, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("podcast_key", BigInteger, ForeignKey(podcasts.c.podcast_key), nullable=False),  # A
    Column("partner_key", BigInteger, ForeignKey(podcasts.c.podcast_key), nullable=False),  # B
    Column("partner_guid", Text),  # of B's episode; null: all of B's from starts_us to ends_us
    Column("episode_key", BigInteger),  # of it, as the lake has it; null: B was not polled yet
    Column("inserted_us", BigInteger),  # when it was put in, as said; null: it aired with the episode
    Column("starts_us", BigInteger, nullable=False),  # t0: the later of air date and inserted_us
    Column("ends_us", BigInteger),  # exclusive, as planned; null: open
    Column("cost", Float),
    Column("currency", Text),  # ISO 4217; null: no cost
    Column("notes", Text),
    Column("state", Text, nullable=False),
    Column("ended_us", BigInteger),  # of a state other than active: when it was stopped, or declared void
    Column("created_us", BigInteger, nullable=False),
    _one_of("type", CollaborationType),
    _one_of("state", CollaborationState),
    sqlite_autoincrement=True,  # an id is never given again
)
Index(None, collaborations.c.podcast_key)
Index(None, collaborations.c.partner_key)


class SubscriptionState(StrEnum):
    """Whether an endpoint is sent to."""

    ACTIVE = "active"
    DISABLED = "disabled"  # by its own 410, or after five days of failures; what matches meanwhile is kept
    ENDED = "ended"  # unsubscribed; the log stays


class DeliveryState(StrEnum):
    """What became of a message to an endpoint."""

    PENDING = "pending"  # goes out at due_us
    SENDING = "sending"  # an attempt is open
    SENT = "sent"
    DEAD = "dead"  # given up, kept for replay
    VOID = "void"  # nothing to tell: it changed back while it waited


def _leases(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("shard", SmallInteger, primary_key=True, autoincrement=False),
        Column("fence", BigInteger, nullable=False),  # grows with every claim, never reused
        Column("owner", Text),  # null: free
        Column("expires_us", BigInteger, nullable=False),
    )


# Who polls which shard of podcasts; who sends to which shard of endpoints.
leases = _leases("leases")
endpoint_leases = _leases("endpoint_leases")

# Who is told of changes (UPDATES §5): an endpoint, what it wants to know, and how it fares.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", KEY, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),  # whsec_…
    Column("previous_secret", Text),  # signs too until secret_until_us
    Column("secret_until_us", BigInteger),
    Column("types", JSON, nullable=False),  # change types; []: all
    Column("podcasts", JSON, nullable=False),  # {"keys": ["…"]} or {"labels": [...]}; {}: all of the tenant
    Column("fields", JSON, nullable=False),  # fields of an update; []: all that are not minor
    Column("mode", Text, nullable=False),  # immediate | scheduled
    Column("cron", Text),  # of scheduled
    Column("time_zone", Text, nullable=False),  # of cron
    Column("batch_size", Integer, nullable=False),  # events of one request at most, of scheduled
    Column("coalesce_s", Float, nullable=False),  # changes of one record within it become one event
    Column("is_ordered", Boolean, nullable=False),  # one request at a time, in order of sequence
    Column("rate_per_s", Float),  # requests; null: as fast as it answers
    Column("state", Text, nullable=False),
    Column("reason", Text),  # of a state other than active
    Column("state_us", BigInteger, nullable=False),  # since when
    Column("created_us", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),  # in a row, as serving.webhooks.breaker counts them
    Column("failing_since_us", BigInteger),  # the first of them
    Column("failed_us", BigInteger),  # the last of them
    Column("succeeded_us", BigInteger),  # the last success
    Column("paused_until_us", BigInteger, nullable=False),  # by Retry-After, or because it fails
    Column("sent", BigInteger, nullable=False, server_default="0"),  # messages it took, ever
    _one_of("state", SubscriptionState),
    sqlite_autoincrement=True,  # an id is never given again
)
Index(None, subscriptions.c.tenant)

# Changes that somebody is told of; one row a change, whoever hears of it.
outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", KEY, primary_key=True),
    Column("podcast_key", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("change", Text, nullable=False),  # ingest.feeds.schema.ChangeType
    Column("detected_us", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),  # registry.outbox.ChangeData
    # Handed over twice is there once; a lake that was lost counts its sequences anew.
    UniqueConstraint("podcast_key", "sequence", "detected_us"),
    sqlite_autoincrement=True,
)

# A message to an endpoint: one request, made again until it succeeds or is given up.
deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", KEY, primary_key=True),
    Column("message_id", Text, nullable=False),  # the webhook-id of all its attempts
    Column("subscription_id", BigInteger, ForeignKey(subscriptions.c.subscription_id), nullable=False),
    Column("shard", SmallInteger, nullable=False),  # of endpoints: registry.subscriptions.endpoint_shard
    Column("outbox_ids", JSON, nullable=False),  # its changes, oldest first
    Column("notice", JSON),  # of ours, instead of changes: {"type", "data"}
    Column("podcast_key", BigInteger),  # of an immediate one's change; null: a batch or a notice
    Column("size", Integer, nullable=False),  # bytes of its events, at most
    Column("state", Text, nullable=False),
    Column("reason", Text),  # of the last failure, or why it is dead or void
    Column("created_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),  # ever begun
    Column("failures", Integer, nullable=False),  # since it was created or replayed
    Column("ended_us", BigInteger),  # when it was sent, or given up
    Column("replays", Integer, nullable=False),
    UniqueConstraint("subscription_id", "message_id"),
    _one_of("state", DeliveryState),
    sqlite_autoincrement=True,
)
# Written out: a bound value would not be known to be that of the indexes.
is_pending = deliveries.c.state == literal_column(f"'{DeliveryState.PENDING}'")
for _order in ("due_us", "delivery_id"):  # the next one of a lane, and of an ordered lane
    Index(
        None,
        deliveries.c.subscription_id,
        deliveries.c[_order],
        sqlite_where=is_pending,
        postgresql_where=is_pending,
    )
is_dead = deliveries.c.state == literal_column(f"'{DeliveryState.DEAD}'")
Index(
    None, deliveries.c.subscription_id, deliveries.c.ended_us, sqlite_where=is_dead, postgresql_where=is_dead
)
Index(None, deliveries.c.subscription_id, deliveries.c.created_us)
Index(None, deliveries.c.ended_us)

# Each request made of a delivery: begun before it is sent, ended when its answer is there.
attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", KEY, ForeignKey(deliveries.c.delivery_id), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("shard", SmallInteger, nullable=False),  # of endpoints
    Column("owner", Text, nullable=False),  # the sender
    Column("started_us", BigInteger, nullable=False),
    Column("outcome", Text),  # serving.webhooks.outcomes.Outcome; null: open
    Column("ms", Integer),
    Column("status", SmallInteger),  # HTTP; null: no answer came
    Column("detail", Text),  # for people
    Column("answer", Text),  # its first 1 kB
    sqlite_with_rowid=False,
)
Index(
    None,
    attempts.c.shard,
    sqlite_where=attempts.c.outcome.is_(None),
    postgresql_where=attempts.c.outcome.is_(None),
)

# Who may call the API. The key itself is shown once and stored nowhere.
api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", KEY, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),  # sha256 of the key, hex
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),  # for people: what it is used for
    Column("scopes", JSON, nullable=False),  # registry.api_keys.Scope, sorted
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),  # null: never
    Column("revoked_us", BigInteger),
    Column("used_us", BigInteger),  # the beginning of the UTC day it was last used on
    sqlite_autoincrement=True,  # an id is never given again: the audit log names it
)

# Whose show it is: a tenant sees all of it. show_id *: all shows.
show_owners = Table(
    "show_owners",
    metadata,
    Column("show_id", Text, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("since_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What of a show anybody may see. show_id *: of all shows.
show_openings = Table(
    "show_openings",
    metadata,
    Column("show_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # registry.show_access.Subject
    Column("since_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Grows with every change of the three tables above: who keeps them in memory reads them again.
access_revisions = Table(
    "access_revisions",
    metadata,
    Column("only", SmallInteger, primary_key=True, autoincrement=False),  # 1: there is one row
    Column("revision", BigInteger, nullable=False),
)

# Who changed what, and when; rows are only ever added.
audit_log = Table(
    "audit_log",
    metadata,
    Column("audit_id", KEY, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),  # whose it was
    Column("key_id", BigInteger),  # by which API key; null: by a command on this machine
    Column("action", Text, nullable=False),  # such as key.created
    Column("subject", Text, nullable=False),  # what was changed: an id, URL or show
    Column("detail", JSON, nullable=False),
    sqlite_autoincrement=True,
)
Index(None, audit_log.c.tenant, audit_log.c.audit_id)
