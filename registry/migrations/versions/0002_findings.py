"""Findings: where directories say something else than we do of a podcast."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("podcast_key", KEY, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("ours", sa.Text(), nullable=True),
        sa.Column("theirs", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["podcast_key"], ["podcasts.podcast_key"], name=op.f("fk_findings_podcast_key")
        ),
        sa.PrimaryKeyConstraint("podcast_key", "source", "field", name=op.f("pk_findings")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("findings")
