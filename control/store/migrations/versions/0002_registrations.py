"""Strategies, trunks and their numbers, inbound registrations, the grouped register log of both sides, alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Columns are only ever added to tables that others refer to: SQLite would have to make such a table anew, and dropping
# the old one takes along every row that refers to it.


def upgrade() -> None:
    op.add_column(
        "connections", sa.Column("strategy", sa.String(16), nullable=False, server_default="always")
    )
    op.add_column("connections", sa.Column("outbound_proxy", sa.Text(), nullable=False, server_default=""))
    op.add_column("connections", sa.Column("inbound_ha1", sa.Text(), nullable=False, server_default=""))
    op.add_column("connections", sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("upstream_states", sa.Column("why", sa.String(32), nullable=False, server_default=""))
    op.add_column("upstream_states", sa.Column("due", sa.Double(), nullable=False, server_default="0"))
    op.add_column("upstream_states", sa.Column("since", sa.Double(), nullable=False, server_default="0"))
    op.execute("UPDATE upstream_states SET since = changed_at")
    op.create_table(
        "trunk_numbers",
        sa.Column("connection_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_trunk_numbers_connection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trunk_numbers_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("connection_id", "number", "user_id", name=op.f("pk_trunk_numbers")),
    )
    op.create_index(op.f("ix_trunk_numbers_user_id"), "trunk_numbers", ["user_id"], unique=False)
    op.create_table(
        "alarms",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("cleared_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(op.f("ix_alarms_cleared_at"), "alarms", ["cleared_at"], unique=False)
    op.create_table(
        "register_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("why", sa.String(length=32), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("expires", sa.Integer(), nullable=False),
        sa.Column("rtt_min", sa.Double(), nullable=False),
        sa.Column("rtt_sum", sa.Double(), nullable=False),
        sa.Column("rtt_max", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_log")),
    )
    op.execute(
        "INSERT INTO register_log (side, subject, first_at, last_at, count, state, code, reason, why, contact, source,"
        " user_agent, instance, expires, rtt_min, rtt_sum, rtt_max)"
        " SELECT 'device', device_id, at, at, 1, action, reply, reason, '', contact, source,"
        " user_agent, instance, expires, 0, 0, 0 FROM registrations ORDER BY id"
    )
    op.create_index("ix_register_log_subject", "register_log", ["side", "subject", "id"], unique=False)
    op.create_index(op.f("ix_register_log_last_at"), "register_log", ["last_at"], unique=False)
    op.drop_index(op.f("ix_registrations_device_id"), table_name="registrations")
    op.drop_index(op.f("ix_registrations_at"), table_name="registrations")
    op.drop_table("registrations")


def downgrade() -> None:
    op.create_table(
        "registrations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("reply", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("expires", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
    )
    op.execute(
        "INSERT INTO registrations"
        " (at, device_id, action, reply, reason, contact, expires, source, user_agent, instance)"
        " SELECT last_at, subject, state, code, reason, contact, expires, source, user_agent, instance"
        " FROM register_log WHERE side = 'device' ORDER BY id"
    )
    op.create_index(op.f("ix_registrations_at"), "registrations", ["at"], unique=False)
    op.create_index(op.f("ix_registrations_device_id"), "registrations", ["device_id"], unique=False)
    op.drop_table("register_log")
    op.drop_table("alarms")
    op.drop_table("trunk_numbers")
    for column in ("since", "due", "why"):
        op.drop_column("upstream_states", column)
    for column in ("enabled", "inbound_ha1", "outbound_proxy", "strategy"):
        op.drop_column("connections", column)
