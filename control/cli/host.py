"""`nightbell up`, `down` and `status`: the programs of one installation."""

from __future__ import annotations

import time
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from control.cli.installation import home_option, settings_of
from control.host.errors import HostError
from control.host.installation import Installation
from control.services import heartbeat
from control.services.installation import initialise
from control.settings import Settings
from control.store.errors import StoreError
from control.store.session import Store


def _installation(home: Path | None) -> Installation:
    return Installation(settings_of(home))


@click.command()
@home_option
def up(home: Path | None) -> None:
    """Start everything that does not run yet."""
    installation = _installation(home)
    initialise(installation.settings.home, installation.settings.database.url)
    before = time.monotonic()
    try:
        for name, started in installation.up():
            now = time.monotonic()
            click.echo(f"{name:<10} {f'ready after {now - before:.1f} s' if started else 'was running'}")
            before = now
    except HostError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@home_option
def down(home: Path | None) -> None:
    """Stop everything that runs."""
    try:
        for name, ran in _installation(home).down():
            click.echo(f"{name:<10} {'stopped' if ran else 'was not running'}")
    except HostError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@home_option
@click.pass_context
def status(context: click.Context, home: Path | None) -> None:
    """Say what runs, and where. Exit status 1 unless everything does."""
    installation = _installation(home)
    settings = installation.settings
    edge, turn, web = settings.edge, settings.turn, settings.web
    places = {
        "kamailio": f"SIP {edge.address}:{edge.sip_port} (UDP, TCP) {edge.tls_port} (TLS) "
        f"{edge.ws_port} (WS) {edge.wss_port} (WSS)",
        "turn": f"{edge.address}:{turn.port} (UDP, TCP) {turn.tls_port} (TLS)" if turn else "",
        "web": f"http://{web.address}:{web.port}/calls",
    }
    complete = True
    try:
        for process in installation.processes:
            name, pid = process.program.name, process.pid
            if pid is None:
                complete = False
                click.echo(f"{name:<10} not running; see {process.program.log}")
            else:
                working = "ready" if process.program.ready() else "running, not ready"
                click.echo(f"{name:<10} {working}, pid {pid}  {places.get(name, '')}".rstrip())
    except HostError as error:
        raise click.ClickException(str(error)) from None
    for line in _silent(settings):
        click.echo(f"{'push':<10} {line}")
    if not complete:
        context.exit(1)


def _silent(settings: Settings) -> list[str]:
    """Which push providers do not answer, as the edge agent has said last."""
    try:
        store = Store.open(settings.database.url, settings.home)
    except StoreError:
        return []  # `up` makes it; and the edge agent says more of it in its log
    try:
        with store.read() as session:
            age = heartbeat.age(session, heartbeat.EDGE, time.time())
            told = heartbeat.facts(session, heartbeat.EDGE).get("push", {})
    except SQLAlchemyError:
        return []
    finally:
        store.close()
    if age is None or age > heartbeat.STALE_S:
        return []
    return [
        f"{name} does not answer ({', '.join(state['silent'])}); it is asked once a second, {state['under_way']} pushes wait"
        for name, state in told.items()
        if state["silent"]
    ]


commands: list[click.Command] = [up, down, status]
