"""Messages stand in the journal beside calls, and people say whether theirs wake their devices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("kind", sa.String(length=8), server_default="", nullable=False))
    op.add_column(
        "users", sa.Column("push_messages", sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("users", "push_messages")
    op.drop_column("calls", "kind")
