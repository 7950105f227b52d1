"""How the audio of a call was, on each side."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_audio",
        sa.Column("call", sa.String(length=64), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("packets", sa.BigInteger(), nullable=False),
        sa.Column("codec", sa.String(length=64), nullable=False),
        sa.Column("quiet", sa.Double(), nullable=False),
        sa.Column("sends", sa.Boolean(), nullable=False),
        sa.Column("heard", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call"], ["calls.call"], name=op.f("fk_call_audio_call"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call", "side", name=op.f("pk_call_audio")),
    )


def downgrade() -> None:
    op.drop_table("call_audio")
