"""What kept all audio from a side of a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("call_audio", sa.Column("obstacle", sa.String(8), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("call_audio", "obstacle")
