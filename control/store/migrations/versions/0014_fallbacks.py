"""Where a person's call goes when nobody wakes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("fallback_kind", sa.String(8), nullable=False, server_default=""))
    op.add_column("users", sa.Column("fallback_target", sa.String(80), nullable=False, server_default=""))
    op.add_column("users", sa.Column("fallback_connection", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    for column in ("fallback_connection", "fallback_target", "fallback_kind"):
        op.drop_column("users", column)
