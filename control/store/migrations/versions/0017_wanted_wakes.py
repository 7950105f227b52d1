"""Which devices are to be called for a test, and what became of that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wanted_wakes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=80), nullable=False),
        sa.Column("wanted_at", sa.Double(), nullable=False),
        sa.Column("taken_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_wanted_wakes_device_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wanted_wakes")),
    )
    op.create_index(op.f("ix_wanted_wakes_device_id"), "wanted_wakes", ["device_id"])
    op.create_index(op.f("ix_wanted_wakes_wanted_at"), "wanted_wakes", ["wanted_at"])


def downgrade() -> None:
    op.drop_table("wanted_wakes")
