"""How far sweeps have seen a shard: one where they saw everything is not read again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("seen", "generation"):
        op.add_column("shards", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    for name in ("generation", "seen"):
        op.drop_column("shards", name)
