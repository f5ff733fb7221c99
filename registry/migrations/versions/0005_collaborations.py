"""Collaborations: an episode or a time, insertion apart from t0, notes, and how they end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEYS = ("partner_key", "podcast_key")


def upgrade() -> None:
    op.drop_table("collaborations")  # nothing wrote to the first one
    op.create_table(
        "collaborations",
        sa.Column("collaboration_id", KEY, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("podcast_key", sa.BigInteger(), nullable=False),
        sa.Column("partner_key", sa.BigInteger(), nullable=False),
        sa.Column("partner_guid", sa.Text(), nullable=True),
        sa.Column("episode_key", sa.BigInteger(), nullable=True),
        sa.Column("inserted_us", sa.BigInteger(), nullable=True),
        sa.Column("starts_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "type in ('guest_swap', 'promo_swap', 'feed_drop', 'host_read', 'other')",
            name=op.f("ck_collaborations_type"),
        ),
        sa.CheckConstraint("state in ('active', 'ended', 'void')", name=op.f("ck_collaborations_state")),
        *_keys(),
        sqlite_autoincrement=True,
    )
    _indexes()


def downgrade() -> None:
    op.drop_table("collaborations")
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
        *_keys(),
    )
    _indexes()


def _keys() -> list[sa.Constraint]:
    references = [
        sa.ForeignKeyConstraint([key], ["podcasts.podcast_key"], name=op.f(f"fk_collaborations_{key}"))
        for key in _KEYS
    ]
    return [*references, sa.PrimaryKeyConstraint("collaboration_id", name=op.f("pk_collaborations"))]


def _indexes() -> None:
    for key in _KEYS:
        op.create_index(op.f(f"ix_collaborations_{key}"), "collaborations", [key])
