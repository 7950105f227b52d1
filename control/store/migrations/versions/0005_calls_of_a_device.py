"""Find the calls of a device without reading the whole journal."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_call_steps_device", "call_steps", ["device", "call"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_call_steps_device", table_name="call_steps")
