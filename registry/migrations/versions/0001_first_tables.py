"""The first tables: podcasts, who tracks them, leases, hints, sources; those of later issues empty."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_leases")),
    )
    op.create_table(
        "outbox",
        sa.Column("outbox_id", KEY, nullable=False),
        sa.Column("podcast_key", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("detected_us", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("podcast_key", "sequence", name=op.f("uq_outbox_podcast_key_sequence")),
    )
    op.create_table(
        "podcasts",
        sa.Column("podcast_key", KEY, autoincrement=False, nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("feed_url", sa.Text(), nullable=False),
        sa.Column("original_url", sa.Text(), nullable=True),
        sa.Column("moved_key", sa.BigInteger(), nullable=True),
        sa.Column("podcast_guid", sa.Text(), nullable=True),
        sa.Column("itunes_id", sa.BigInteger(), nullable=True),
        sa.Column("podcastindex_id", sa.BigInteger(), nullable=True),
        sa.Column("show_id", sa.Text(), nullable=True),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('active', 'gone', 'dead', 'deregistered')", name=op.f("ck_podcasts_state")
        ),
        sa.CheckConstraint("shard = (podcast_key & 255)", name=op.f("ck_podcasts_shard")),
        sa.PrimaryKeyConstraint("podcast_key", name=op.f("pk_podcasts")),
    )
    for name in ("moved_key", "podcast_guid", "itunes_id", "podcastindex_id"):
        known = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            op.f(f"ix_podcasts_{name}"), "podcasts", [name], postgresql_where=known, sqlite_where=known
        )
    op.create_index(op.f("ix_podcasts_shard"), "podcasts", ["shard"])
    op.create_table(
        "shards",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_shards")),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("read_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_sources")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscription_id", KEY, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous_secret", sa.Text(), nullable=True),
        sa.Column("secret_until_us", sa.BigInteger(), nullable=True),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("podcasts", sa.JSON(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("batch_size", sa.Integer(), nullable=True),
        sa.Column("is_ordered", sa.Boolean(), nullable=False),
        sa.Column("rate_per_s", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("pk_subscriptions")),
    )
    op.create_index(op.f("ix_subscriptions_tenant"), "subscriptions", ["tenant"])
    op.create_table(
        "collaborations",
        sa.Column("collaboration_id", KEY, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("podcast_key", sa.BigInteger(), nullable=False),
        sa.Column("partner_key", sa.BigInteger(), nullable=False),
        sa.Column("partner_guid", sa.Text(), nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["partner_key"], ["podcasts.podcast_key"], name=op.f("fk_collaborations_partner_key")
        ),
        sa.ForeignKeyConstraint(
            ["podcast_key"], ["podcasts.podcast_key"], name=op.f("fk_collaborations_podcast_key")
        ),
        sa.PrimaryKeyConstraint("collaboration_id", name=op.f("pk_collaborations")),
    )
    op.create_index(op.f("ix_collaborations_partner_key"), "collaborations", ["partner_key"])
    op.create_index(op.f("ix_collaborations_podcast_key"), "collaborations", ["podcast_key"])
    op.create_table(
        "hints",
        sa.Column("podcast_key", KEY, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("noticed_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["podcast_key"], ["podcasts.podcast_key"], name=op.f("fk_hints_podcast_key")),
        sa.PrimaryKeyConstraint("podcast_key", "source", name=op.f("pk_hints")),
    )
    op.create_index(op.f("ix_hints_shard"), "hints", ["shard"])
    op.create_table(
        "registrations",
        sa.Column("podcast_key", KEY, autoincrement=False, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["podcast_key"], ["podcasts.podcast_key"], name=op.f("fk_registrations_podcast_key")
        ),
        sa.PrimaryKeyConstraint("podcast_key", "tenant", name=op.f("pk_registrations")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in (
        "registrations",
        "hints",
        "collaborations",
        "subscriptions",
        "sources",
        "shards",
        "podcasts",
        "outbox",
        "leases",
    ):
        op.drop_table(table)
