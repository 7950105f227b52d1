"""Alembic's entry: runs the migrations on the connection handed over by ``control.store.session``."""

from __future__ import annotations

from alembic import context

from control.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter a constraint in place
    compare_type=True,
)
context.run_migrations()
