"""How a PBX and a device get the keys that the other side presses by INFO."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("devices", "connections"):
        op.add_column(table, sa.Column("dtmf", sa.String(8), nullable=False, server_default="auto"))


def downgrade() -> None:
    for table in ("connections", "devices"):
        op.drop_column(table, "dtmf")
