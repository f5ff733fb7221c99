"""Change webhooks: endpoints and how they fare, the outbox, deliveries, attempts, leases of endpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("outcome IS NULL")
_PENDING, _DEAD = sa.text("state = 'pending'"), sa.text("state = 'dead'")


def upgrade() -> None:
    # Nothing wrote to the first ones of these.
    op.drop_table("outbox")
    op.drop_table("subscriptions")
    op.add_column("shards", sa.Column("handed", sa.BigInteger(), server_default="0", nullable=False))
    # Nobody subscribed before: what was found by then is told to no one.
    op.execute("update shards set handed = generation")
    op.create_table(
        "endpoint_leases",
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_endpoint_leases")),
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
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("batch_size", sa.Integer(), nullable=False),
        sa.Column("coalesce_s", sa.Float(), nullable=False),
        sa.Column("is_ordered", sa.Boolean(), nullable=False),
        sa.Column("rate_per_s", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("state_us", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since_us", sa.BigInteger(), nullable=True),
        sa.Column("failed_us", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_us", sa.BigInteger(), nullable=True),
        sa.Column("paused_until_us", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("state in ('active', 'disabled', 'ended')", name=op.f("ck_subscriptions_state")),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("pk_subscriptions")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_subscriptions_tenant"), "subscriptions", ["tenant"])
    op.create_table(
        "outbox",
        sa.Column("outbox_id", KEY, nullable=False),
        sa.Column("podcast_key", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("detected_us", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint(
            "podcast_key", "sequence", "detected_us", name=op.f("uq_outbox_podcast_key_sequence_detected_us")
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", KEY, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("outbox_ids", sa.JSON(), nullable=False),
        sa.Column("notice", sa.JSON(), nullable=True),
        sa.Column("podcast_key", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state in ('pending', 'sending', 'sent', 'dead', 'void')", name=op.f("ck_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.subscription_id"],
            name=op.f("fk_deliveries_subscription_id"),
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "subscription_id", "message_id", name=op.f("uq_deliveries_subscription_id_message_id")
        ),
        sqlite_autoincrement=True,
    )
    for name in ("due_us", "delivery_id"):
        op.create_index(
            op.f(f"ix_deliveries_subscription_id_{name}"),
            "deliveries",
            ["subscription_id", name],
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        )
    op.create_index(
        op.f("ix_deliveries_subscription_id_ended_us"),
        "deliveries",
        ["subscription_id", "ended_us"],
        sqlite_where=_DEAD,
        postgresql_where=_DEAD,
    )
    op.create_index(op.f("ix_deliveries_ended_us"), "deliveries", ["ended_us"])
    op.create_index(
        op.f("ix_deliveries_subscription_id_created_us"), "deliveries", ["subscription_id", "created_us"]
    )
    op.create_table(
        "attempts",
        sa.Column("delivery_id", KEY, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.delivery_id"], name=op.f("fk_attempts_delivery_id")
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_attempts_shard"), "attempts", ["shard"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )


def downgrade() -> None:
    for name in ("attempts", "deliveries", "outbox", "subscriptions", "endpoint_leases"):
        op.drop_table(name)
    op.drop_column("shards", "handed")
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
