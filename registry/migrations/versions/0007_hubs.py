"""What was asked of WebSub hubs, and until when they have agreed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "hub_subscriptions",
        sa.Column("podcast_key", KEY, autoincrement=False, nullable=False),
        sa.Column("hub", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("confirmed_us", sa.BigInteger(), nullable=True),
        sa.Column("lease_s", sa.BigInteger(), nullable=True),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["podcast_key"], ["podcasts.podcast_key"], name=op.f("fk_hub_subscriptions_podcast_key")
        ),
        sa.PrimaryKeyConstraint("podcast_key", name=op.f("pk_hub_subscriptions")),
        sa.CheckConstraint(
            "state in ('asked', 'active', 'denied', 'failed')", name=op.f("ck_hub_subscriptions_state")
        ),
    )


def downgrade() -> None:
    op.drop_table("hub_subscriptions")
