"""`nightbell device`: the app installs that register here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.services import connections, people


@click.group()
def device() -> None:
    """Devices: an app install each, with a credential of its own."""


@device.command()
@click.argument("name")
@click.option("--user", "user_id", required=True, help="The person who carries it.")
@click.option(
    "--connection", default=None, help="The PBX account for its outbound calls. Default: the person's."
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def add(name: str, user_id: str, connection: str | None, as_json: bool, home: Path | None) -> None:
    """Add a device called NAME. Its password is shown now and never again."""
    with opened(home) as (settings, store):
        domain = settings.edge.domain
        with store.write() as session:
            through = connections.get_connection(session, connection).id if connection else None
            added, password = people.add_device(session, user_id, name, domain, through)
        edge = settings.edge
        account = {
            "username": added.id,
            "password": password.reveal(),
            "domain": domain,
            "address": edge.address,
            "sip_port": edge.sip_port,
            "tls_port": edge.tls_port,
        }
    if as_json:
        click.echo(json.dumps(account))
        return
    for key, value in account.items():
        click.echo(f"{key.replace('_', ' '):<10} {value}")
    click.echo("\nThe password cannot be shown again.")


@device.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def list_(as_json: bool, home: Path | None) -> None:
    """Show all devices, and whether each can be woken."""
    with opened(home) as (_, store), store.read() as session:
        rows = [
            {
                "device": row.id,
                "name": row.name,
                "user": row.user_id,
                "push": sorted({token.provider for token in row.tokens}),
            }
            for row in people.list_devices(session)
        ]
    show(rows, as_json=as_json, empty="no devices yet; `nightbell device add NAME --user USER` adds one")


@device.command()
@click.argument("device_id", metavar="DEVICE")
@home_option
def remove(device_id: str, home: Path | None) -> None:
    """Remove a device; it can neither register nor be woken any more."""
    with opened(home) as (_, store), store.write() as session:
        people.remove_device(session, device_id)
    click.echo(f"removed {device_id}")
