"""Which devices are reminded by push of a binding that is about to run out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "binding_reminders",
        sa.Column("device_id", sa.String(length=80), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("ends", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["devices.id"],
            name=op.f("fk_binding_reminders_device_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_binding_reminders")),
    )


def downgrade() -> None:
    op.drop_table("binding_reminders")
