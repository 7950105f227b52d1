"""`nightbell user`: the people who are called."""

from __future__ import annotations

from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.domain.aor import aor
from control.services import people


@click.group()
def user() -> None:
    """People: each has an address, and devices that ring for it."""


@user.command()
@click.argument("user_id", metavar="USER")
@click.option("--name", default="", help="The full name.")
@home_option
def add(user_id: str, name: str, home: Path | None) -> None:
    """Add a person; USER becomes the address sip:USER@DOMAIN."""
    with opened(home) as (settings, store):
        with store.write() as session:
            people.add_user(session, user_id, name)
        click.echo(f"added {aor(user_id, settings.edge.domain)}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def list_(as_json: bool, home: Path | None) -> None:
    """Show all people."""
    with opened(home) as (settings, store), store.read() as session:
        rows = [
            {
                "user": row.id,
                "name": row.name,
                "address": aor(row.id, settings.edge.domain),
                "devices": [device.id for device in row.devices],
                "connections": [connection.name for connection in row.connections],
                "push_messages": row.push_messages,
            }
            for row in people.list_users(session)
        ]
    show(rows, as_json=as_json, empty="no people yet; `nightbell user add NAME` adds one")


@user.command()
@click.argument("user_id", metavar="USER")
@home_option
def remove(user_id: str, home: Path | None) -> None:
    """Remove a person with all devices."""
    with opened(home) as (_, store), store.write() as session:
        people.remove_user(session, user_id)
    click.echo(f"removed {user_id}")


@user.command("set")
@click.argument("user_id", metavar="USER")
@click.option(
    "--push-messages/--no-push-messages",
    required=True,
    help="Whether a message wakes the devices that sleep.",
)
@home_option
def set_(user_id: str, push_messages: bool, home: Path | None) -> None:
    """Change what happens to what is sent to a person."""
    with opened(home) as (_, store), store.write() as session:
        people.push_messages(session, user_id, push_messages)
    click.echo(f"changed {user_id}: messages {'wake' if push_messages else 'do not wake'} devices that sleep")
