"""`nightbell user`: the people who are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.domain import fallback
from control.domain.aor import aor
from control.services import connections, fallbacks, people


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
                "push_voicemail": row.push_voicemail,
                "fallback": str(fallbacks.of(row)),
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
        without = people.remove_user(session, user_id)
    click.echo(f"removed {user_id}")
    say_without_fallback(without)


@user.command("set")
@click.argument("user_id", metavar="USER")
@click.option(
    "--push-messages/--no-push-messages",
    "messages",
    default=None,
    help="Whether a message wakes the devices that sleep.",
)
@click.option(
    "--push-voicemail/--no-push-voicemail",
    "voicemail",
    default=None,
    help="Whether they are told of new voice messages.",
)
@click.option(
    "--fallback",
    "wanted",
    default=None,
    metavar="none|device:DEVICE|number:NUMBER",
    help="Where a call goes when nobody wakes.",
)
@click.option("--through", default=None, metavar="CONNECTION", help="Which one calls the number.")
@home_option
def set_(
    user_id: str,
    messages: bool | None,
    voicemail: bool | None,
    wanted: str | None,
    through: str | None,
    home: Path | None,
) -> None:
    """Change what happens to what is sent to a person, and to the calls that nobody wakes for."""
    if messages is None and voicemail is None and wanted is None:
        raise click.UsageError("say what is to be changed: --push-messages, --push-voicemail or --fallback")
    if through is not None and wanted is None:
        raise click.UsageError("--through goes with --fallback number:NUMBER")
    said = []
    with opened(home) as (_, store), store.write() as session:
        if messages is not None:
            people.choose_pushes(session, user_id, messages=messages)
            said.append(f"messages {'wake' if messages else 'do not wake'} devices that sleep")
        if voicemail is not None:
            people.choose_pushes(session, user_id, voicemail=voicemail)
            said.append(f"new voice messages are {'' if voicemail else 'not '}pushed to them")
        if wanted is not None:
            row = people.get_user(session, user_id)
            way = None if through is None else connections.get_connection(session, through)
            chosen = fallbacks.choose(session, row, fallback.parse(wanted), way)
            name = connections.get_connection(session, chosen.connection).name if chosen.connection else ""
            said.append(f"fallback {chosen}{f' through {name}' if name else ''}")
    click.echo(f"changed {user_id}: {'; '.join(said)}")


def say_without_fallback(people_without: Sequence[str]) -> None:
    """Say whose fallback has just gone with what was removed."""
    for person in people_without:
        click.echo(
            f"{person} has no fallback any more; `nightbell user set {person} --fallback …` sets another"
        )
