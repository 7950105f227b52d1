"""What is learnt of push tokens: quarantine, the true environment; a digest to find one among all devices by."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("push_tokens", sa.Column("digest", sa.String(64), nullable=False, server_default=""))
    op.add_column("push_tokens", sa.Column("quarantined_at", sa.Double(), nullable=True))
    op.add_column(
        "push_tokens", sa.Column("corrected", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    table = sa.table(
        "push_tokens", *map(sa.column, ("device_id", "provider", "kind", "app", "token", "digest"))
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(table)).all():
        digest = hashlib.sha256(f"{row.provider} {row.token}".encode()).hexdigest()
        connection.execute(
            sa.update(table)
            .where(
                table.c.device_id == row.device_id,
                table.c.provider == row.provider,
                table.c.kind == row.kind,
                table.c.app == row.app,
            )
            .values(digest=digest)
        )
    op.create_index(op.f("ix_push_tokens_digest"), "push_tokens", ["digest"], unique=False)
    op.create_index(op.f("ix_push_tokens_stored_at"), "push_tokens", ["stored_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_push_tokens_stored_at"), table_name="push_tokens")
    op.drop_index(op.f("ix_push_tokens_digest"), table_name="push_tokens")
    for column in ("corrected", "quarantined_at", "digest"):
        op.drop_column("push_tokens", column)
