"""The database: tables, migrations, sessions, and the seal on what is secret in it."""
