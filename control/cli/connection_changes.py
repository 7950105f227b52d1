"""`nightbell connection set`, `enable`, `disable`, `retry`, `number` and `inbound`: changes while the connection is at work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from sqlalchemy.orm import Session

from control.cli.installation import home_option, opened
from control.cli.passwords import password_options, read_password
from control.domain.connection import LOCATED_BY, ConnectionSpec, is_address
from control.domain.errors import InvalidFieldError
from control.domain.secret import Secret
from control.services import connection_changes
from control.services.connections import get_connection
from control.settings import Settings

CHECK_S = 3.0  # how long a name may take to be found when a connection is saved


@click.command("set")
@click.argument("name")
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]…")
@password_options
@click.option("--password-prompt", is_flag=True, help="Ask for the password.")
@click.option("--no-check", is_flag=True, help="Do not look whether the host's name has an address.")
@home_option
def set_(
    name: str,
    assignments: tuple[str, ...],
    password_file: Path | None,
    password_stdin: bool,
    password_prompt: bool,
    no_check: bool,
    home: Path | None,
) -> None:
    """Change connection NAME, such as: set office host=pbx.example wait=15 early_ringing=no.

    It is registered anew only if the PBX would notice. An empty realm is learnt anew; an empty port is looked up in DNS.
    """
    texts = dict(_assignment(text) for text in assignments)
    values = connection_changes.parsed(texts)
    password = read_password(password_file, password_stdin, ask=password_prompt)
    if password is not None:
        values["password"] = password
    if not values:
        raise click.UsageError(f"nothing to set; what can be: {', '.join(connection_changes.SETTABLE)}")
    with opened(home) as (_, store):
        if not no_check and values.keys() & set(LOCATED_BY):
            with store.read() as session:
                check_route(connection_changes.preview(session, name, values))
        with store.write() as session:
            spec = connection_changes.change(session, name, values)
    click.echo(f"changed {spec.name}: {', '.join(values)}")


@click.command()
@click.argument("name")
@home_option
def disable(name: str, home: Path | None) -> None:
    """Switch connection NAME off: it signs off at its PBX, and neither calls nor is called."""
    with opened(home) as (_, store), store.write() as session:
        changed = connection_changes.enable(session, name, on=False)
    click.echo(f"disabled {name}" if changed else f"{name} was disabled already")


@click.command()
@click.argument("name")
@home_option
def enable(name: str, home: Path | None) -> None:
    """Switch connection NAME on again."""
    with opened(home) as (_, store), store.write() as session:
        changed = connection_changes.enable(session, name, on=True)
    click.echo(f"enabled {name}" if changed else f"{name} was enabled already")


@click.command()
@click.argument("name")
@home_option
def retry(name: str, home: Path | None) -> None:
    """Try connection NAME at its PBX now, once: after a PBX was mended, or a ban was lifted.

    It does not wait for its pause to end, nor because the PBX refused others.
    """
    with opened(home) as (_, store), store.write() as session:
        connection_changes.retry(session, name)
    click.echo(f"{name} is tried now; `nightbell register-log --connection {name}` says what its PBX answers")


@click.command()
@click.argument("name")
@click.argument("number")
@click.argument("users", nargs=-1)
@home_option
def number(name: str, number: str, users: tuple[str, ...], home: Path | None) -> None:
    """Make NUMBER of trunk NAME ring these USERS, instead of those it rang; nobody: take it away."""
    with opened(home) as (_, store), store.write() as session:
        connection_changes.renumber(session, name, tuple((number, user) for user in users), (number,))
    click.echo(f"{number} of {name} rings {', '.join(users)}" if users else f"{number} was taken from {name}")


@click.command()
@click.argument("name")
@click.option("--off", is_flag=True, help="It may not register here any more.")
@home_option
def inbound(name: str, off: bool, home: Path | None) -> None:
    """Let the PBX of connection NAME register here, with a new password that is shown once."""
    with opened(home) as (settings, store):
        if off:
            with store.write() as session:
                _refuse_to_strand(session, name)
                could = connection_changes.close_inbound(session, name)
            click.echo(
                f"{name} cannot register here any more" if could else f"{name} could not register here"
            )
            return
        with store.write() as session:
            connection, secret = connection_changes.open_inbound(session, name, settings.edge.domain)
        say_inbound(settings, connection, secret)


def _refuse_to_strand(session: Session, name: str) -> None:
    """A connection that is neither somewhere nor comes here could do nothing any more. Raises InvalidFieldError."""
    if not get_connection(session, name).host:
        raise InvalidFieldError(
            "host",
            f"{name} has none, so it must go on registering here; `nightbell connection set {name} host=…` "
            f"gives it one, `nightbell connection remove {name}` removes it",
        )


def say_inbound(settings: Settings, connection: str, secret: Secret) -> None:
    """What the PBX's administrator needs; the password is seen now and never again."""
    edge = settings.edge
    account = {
        "username": connection,
        "password": secret.reveal(),
        "domain": edge.domain,
        "address": f"{edge.address}, port {edge.sip_port} (UDP, TCP) or {edge.tls_port} (TLS)",
    }
    click.echo("\nThe PBX registers here with:")
    for key, value in account.items():
        click.echo(f"{key:<10} {value}")
    click.echo("\nThe password cannot be shown again.")


def check_route(spec: ConnectionSpec) -> None:
    """Look whether the connection leads anywhere. Raises InvalidFieldError naming the field that does not."""
    if not spec.host or (is_address(spec.host) and not spec.outbound_proxy):
        return
    # DNS is of no use to the other commands, and slow to load.
    from control.edge.errors import LocateError  # noqa: PLC0415
    from control.edge.locator import Locator  # noqa: PLC0415

    field = "outbound_proxy" if spec.outbound_proxy else "host"

    async def look() -> bool:
        async with asyncio.timeout(CHECK_S):
            return bool((await Locator().locate(spec.route)).located.hops)

    try:
        if asyncio.run(look()):
            return
        problem = "it has no address"
    except LocateError as error:
        problem = str(error)
    except TimeoutError:
        problem = f"no name server answered within {CHECK_S:g} s"
    raise InvalidFieldError(field, f"{problem}; --no-check saves it nevertheless")


def _assignment(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise click.UsageError(f"{text!r} is not of the form KEY=VALUE")
    return key.replace("-", "_"), value


commands: list[click.Command] = [set_, enable, disable, retry, number, inbound]
