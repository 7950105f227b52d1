"""One row for each wake of each device, and how long to wait for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("wait", sa.Double(), nullable=True))
    op.create_table(
        "wakes",
        sa.Column("wake", sa.String(length=80), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("pushed_at", sa.Double(), nullable=False),
        sa.Column("deadline", sa.Double(), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=False),
        sa.Column("registered_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("wake", "device", name=op.f("pk_wakes")),
    )
    op.create_index("ix_wakes_device_pushed_at", "wakes", ["device", "pushed_at"], unique=False)
    op.create_index(op.f("ix_wakes_call"), "wakes", ["call"], unique=False)
    op.create_index(op.f("ix_wakes_pushed_at"), "wakes", ["pushed_at"], unique=False)
    op.create_index(op.f("ix_wakes_deadline"), "wakes", ["deadline"], unique=False)


def downgrade() -> None:
    op.drop_table("wakes")
    op.drop_column("devices", "wait")
