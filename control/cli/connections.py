"""`nightbell connection`: the accounts and trunks at PBXs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from control.cli import connection_changes
from control.cli.installation import home_option, opened
from control.cli.passwords import password_options, read_password
from control.cli.table import show
from control.cli.users import say_without_fallback
from control.domain.connection import (
    ALWAYS,
    DEFAULT_EXPIRES,
    DEFAULT_WAIT,
    MEDIA,
    STRATEGIES,
    TRANSPORTS,
    TRUNK,
    ConnectionSpec,
)
from control.domain.dtmf import PBX_DTMF
from control.domain.errors import InvalidFieldError
from control.domain.registration_phrases import Standing, advice, state_words
from control.domain.secret import Secret
from control.services import connection_changes as changes
from control.services import connections, upstream
from control.store.models import Connection


@click.group()
def connection() -> None:
    """Connections: an account or a trunk at a PBX each, and whom its calls ring."""


@connection.command()
@click.argument("name")
@click.option("--host", default="", help="Name or IP address of the PBX.")
@click.option(
    "--port", type=int, default=None, help="Default: as DNS says (SRV), else 5060, or 5061 for TLS."
)
@click.option("--transport", type=click.Choice(TRANSPORTS), default="udp", show_default=True)
@click.option("--user", required=True, help="The account (extension) at the PBX.")
@click.option("--auth-user", default="", help="Digest username, if it is not the account's name.")
@password_options
@click.option("--for", "users", multiple=True, metavar="USER", help="Whom its calls ring; may be repeated.")
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default=None,
    help="When to be registered; trunk: never, calls come by address. Default: always.",
)
@click.option("--inbound", is_flag=True, help="The PBX registers here; its password is shown once.")
@click.option(
    "--outbound-proxy", default="", metavar="URI", help="Such as sip:proxy.example:5060;transport=tcp."
)
@click.option(
    "--number",
    "numbers",
    multiple=True,
    metavar="NUMBER=USER",
    help="A number of a trunk, and whom it rings; may be repeated.",
)
@click.option("--domain", default="", help="The PBX's SIP domain, if it is not its host.")
@click.option("--realm", default="", help="Digest realm. Default: learnt from the PBX.")
@click.option("--expires", default=DEFAULT_EXPIRES, show_default=True, help="Seconds.")
@click.option(
    "--wait", default=DEFAULT_WAIT, show_default=True, help="How long a call waits for a phone, seconds."
)
@click.option("--register/--no-register", default=True, show_default=True)
@click.option("--media", type=click.Choice(MEDIA), default="relay", show_default=True)
@click.option("--codecs", default="", metavar="NAMES", help="The only ones the PBX is offered, as PCMA,opus.")
@click.option(
    "--dtmf",
    type=click.Choice(PBX_DTMF),
    default="auto",
    show_default=True,
    help="How the PBX gets keys sent by INFO; auto: as telephone-events where both sides know them.",
)
@click.option("--early-ringing/--no-early-ringing", default=True, show_default=True)
@click.option("--no-check", is_flag=True, help="Do not look whether the host's name has an address.")
@home_option
def add(
    name: str,
    host: str,
    port: int | None,
    transport: str,
    user: str,
    auth_user: str,
    password_file: Path | None,
    password_stdin: bool,
    users: tuple[str, ...],
    strategy: str | None,
    inbound: bool,
    outbound_proxy: str,
    numbers: tuple[str, ...],
    domain: str,
    realm: str,
    expires: int,
    wait: float,
    register: bool,
    media: str,
    codecs: str,
    dtmf: str,
    early_ringing: bool,
    no_check: bool,
    home: Path | None,
) -> None:
    """Add a PBX account or trunk called NAME.

    The password is asked for unless a file or the standard input gives it; a trunk may have none.
    """
    wanted = strategy or (TRUNK if inbound else ALWAYS)
    needed = wanted != TRUNK and register
    with opened(home) as (settings, store):
        spec = ConnectionSpec(
            name=name,
            host=host,
            user=user,
            password=read_password(password_file, password_stdin, ask=needed) or Secret(""),
            port=port,
            transport=transport,
            domain=domain or ("" if host else settings.edge.domain),
            auth_user=auth_user,
            realm=realm,
            expires=expires,
            register=register,
            media=media,
            codecs=codecs,
            dtmf=dtmf,
            early_ringing=early_ringing,
            wait=wait,
            users=users,
            strategy=wanted,
            inbound=inbound,
            outbound_proxy=outbound_proxy,
            numbers=pairs(numbers),
        )
        if not no_check:
            connection_changes.check_route(spec)
        with store.write() as session:
            added = connections.add_connection(session, spec)
            secret = changes.open_inbound(session, added.id, settings.edge.domain)[1] if inbound else None
    rings = ", ".join(dict.fromkeys((*users, *(user for _, user in spec.numbers)))) or "nobody yet"
    click.echo(f"added {name}: {user}@{spec.sip_domain} rings {rings}; id {added.id}")
    if secret is not None:
        connection_changes.say_inbound(settings, added.id, secret)


def pairs(numbers: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """NUMBER=USER texts as pairs. Raises InvalidFieldError."""
    found = []
    for text in numbers:
        number, separator, user = text.rpartition("=")
        if not separator or not user:
            raise InvalidFieldError("number", f"{text[:80]!r} is not of the form NUMBER=USER")
        found.append((number, user))
    return tuple(found)


@connection.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def list_(as_json: bool, home: Path | None) -> None:
    """Show all connections, how each stands at its PBX, and what to check where one does not work."""
    now = time.time()
    with opened(home) as (_, store), store.read() as session:
        states = upstream.states(session)
        found = [(row, upstream.standing(row, states, now)) for row in connections.list_connections(session)]
        rows: list[dict[str, object]] = [
            {
                "name": row.name,
                "id": row.id,
                "account": f"{row.user}@{row.domain}",
                "pbx": _pbx(row.host, row.port, row.transport),
                "strategy": row.strategy,
                "rings": sorted(connections.rung_by(row)),
                "state": state_words(standing),
                "reply": standing.reply,
            }
            for row, standing in found
        ]
        if as_json:
            for shown, (row, standing) in zip(rows, found, strict=True):
                state = states.get(row.id)
                shown |= {
                    "enabled": row.enabled,
                    "numbers": {n: [x.user_id for x in row.numbers if x.number == n] for n in _numbers(row)},
                    "outbound_proxy": row.outbound_proxy,
                    "registration": standing.state or None,
                    "why": standing.why or None,
                    "advice": advice(standing) or None,
                    "since": state.since if state else None,
                    "next_register": (state.due or None) if state else None,
                }
    show(rows, as_json=as_json, empty="no connections yet; `nightbell connection add NAME …` adds one")
    if not as_json:
        _advise([standing for _, standing in found])


def _numbers(row: Connection) -> list[str]:
    return list(dict.fromkeys(number.number for number in row.numbers))


def _pbx(host: str, port: int, transport: str) -> str:
    if not host:
        return "registers here"
    return f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''} {transport}"


def _advise(standings: list[Standing]) -> None:
    told = [(standing.name, sentence) for standing in standings if (sentence := advice(standing))]
    if told:
        click.echo("")
    for name, sentence in told:
        click.echo(f"{name}: {sentence}")


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
        without = connections.remove_connection(session, name)
    click.echo(f"removed {name}")
    say_without_fallback(without)


for _command in connection_changes.commands:
    connection.add_command(_command)
