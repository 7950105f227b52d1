"""`nightbell connection`: the accounts at PBXs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.domain.connection import DEFAULT_EXPIRES, DEFAULT_WAIT, MEDIA, TRANSPORTS, ConnectionSpec
from control.domain.secret import Secret
from control.services import connections, upstream


@click.group()
def connection() -> None:
    """Connections: an account at a PBX each, and whom its calls ring."""


@connection.command()
@click.argument("name")
@click.option("--host", required=True, help="Name or IP address of the PBX.")
@click.option("--port", default=5060, show_default=True)
@click.option("--transport", type=click.Choice(TRANSPORTS), default="udp", show_default=True)
@click.option("--user", required=True, help="The account (extension) at the PBX.")
@click.option("--auth-user", default="", help="Digest username, if it is not the account's name.")
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None)
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input.")
@click.option("--for", "users", multiple=True, metavar="USER", help="Whom its calls ring; may be repeated.")
@click.option("--domain", default="", help="The PBX's SIP domain, if it is not its host.")
@click.option("--realm", default="", help="Digest realm. Default: learnt from the PBX.")
@click.option("--expires", default=DEFAULT_EXPIRES, show_default=True, help="Seconds.")
@click.option(
    "--wait", default=DEFAULT_WAIT, show_default=True, help="How long a call waits for a phone, seconds."
)
@click.option("--register/--no-register", default=True, show_default=True)
@click.option("--media", type=click.Choice(MEDIA), default="relay", show_default=True)
@click.option("--early-ringing/--no-early-ringing", default=True, show_default=True)
@home_option
def add(
    name: str,
    host: str,
    port: int,
    transport: str,
    user: str,
    auth_user: str,
    password_file: Path | None,
    password_stdin: bool,
    users: tuple[str, ...],
    domain: str,
    realm: str,
    expires: int,
    wait: float,
    register: bool,
    media: str,
    early_ringing: bool,
    home: Path | None,
) -> None:
    """Add a PBX account called NAME. The password is asked for unless a file or the standard input gives it."""
    if password_file is not None and password_stdin:
        raise click.UsageError("--password-file and --password-stdin exclude each other")
    with opened(home) as (_, store):
        spec = ConnectionSpec(
            name=name,
            host=host,
            user=user,
            password=_password(password_file, password_stdin),
            port=port,
            transport=transport,
            domain=domain,
            auth_user=auth_user,
            realm=realm,
            expires=expires,
            register=register,
            media=media,
            early_ringing=early_ringing,
            wait=wait,
            users=users,
        )
        with store.write() as session:
            added = connections.add_connection(session, spec)
    click.echo(
        f"added {name}: {user}@{spec.sip_domain} rings {', '.join(users) or 'nobody yet'}; id {added.id}"
    )


def _password(file: Path | None, stdin: bool) -> Secret:
    if file is not None:
        return Secret(file.read_text(encoding="utf-8").rstrip("\r\n"))
    if stdin:
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    return Secret(click.prompt("Password at the PBX", hide_input=True))


@connection.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def list_(as_json: bool, home: Path | None) -> None:
    """Show all connections, and how each stands at its PBX."""
    with opened(home) as (_, store), store.read() as session:
        states = upstream.states(session)
        rows = [
            {
                "name": row.name,
                "id": row.id,
                "account": f"{row.user}@{row.domain}",
                "pbx": f"{row.host}:{row.port} {row.transport}",
                "rings": [user.id for user in row.users],
                "state": states[row.id].state if row.id in states else "not heard of yet",
                "reply": " ".join(str(p) for p in (states[row.id].code, states[row.id].reason) if p)
                if row.id in states
                else "",
            }
            for row in connections.list_connections(session)
        ]
    show(rows, as_json=as_json, empty="no connections yet; `nightbell connection add NAME …` adds one")


@connection.command()
@click.argument("name")
@click.argument("users", nargs=-1)
@home_option
def assign(name: str, users: tuple[str, ...], home: Path | None) -> None:
    """Make calls of connection NAME ring these USERS, instead of those they rang."""
    with opened(home) as (_, store), store.write() as session:
        connections.assign(session, name, users)
    click.echo(f"{name} rings {', '.join(users) or 'nobody'}")


@connection.command()
@click.argument("name")
@home_option
def remove(name: str, home: Path | None) -> None:
    """Remove a connection; it is unregistered at its PBX."""
    with opened(home) as (_, store), store.write() as session:
        connections.remove_connection(session, name)
    click.echo(f"removed {name}")
