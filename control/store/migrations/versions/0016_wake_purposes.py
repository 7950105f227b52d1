"""What a wake was for: of messages and requests within calls, too, it is known who has been pushed to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("wakes", sa.Column("purpose", sa.String(16), nullable=False, server_default="call"))


def downgrade() -> None:
    op.drop_column("wakes", "purpose")
