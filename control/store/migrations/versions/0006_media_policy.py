"""What media a device takes, and which codecs a device or a PBX is offered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("media", sa.String(8), nullable=False, server_default="auto"))
    op.add_column("devices", sa.Column("codecs", sa.Text(), nullable=False, server_default=""))
    op.add_column("connections", sa.Column("codecs", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("connections", "codecs")
    op.drop_column("devices", "codecs")
    op.drop_column("devices", "media")
