"""`nightbell device`: the app installs that register here."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import click
import segno

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.cli.users import say_without_fallback
from control.domain.codecs import CODECS, DEVICE_MEDIA
from control.domain.device_json import device_as_dict
from control.domain.device_text import as_text, usual_time
from control.domain.dtmf import DEVICE_DTMF
from control.domain.phone import LINK_MINUTES
from control.domain.story_text import as_text as as_story
from control.domain.story_text import moment
from control.services import connections, people, phone_links, reach, wake_tests

LOOK_S = 0.1  # between two looks at a test that is under way


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
    """Show all devices, how each stands, and how fast it wakes."""
    with opened(home) as (settings, store), store.read() as session:
        found = reach.of(session, people.list_devices(session), settings.reach_terms, time.time())
    if as_json:
        click.echo(json.dumps([device_as_dict(each) for each in found], indent=2, ensure_ascii=False))
        return
    rows = [
        {
            "device": each.device,
            "name": each.name,
            "user": each.user,
            "push": sorted({token.provider for token in each.tokens}),
            "wakes_within": usual_time(each.times),
            "state": each.reach.words,
        }
        for each in found
    ]
    show(rows, as_json=False, empty="no devices yet; `nightbell device add NAME --user USER` adds one")


@device.command("show")
@click.argument("device_id", metavar="DEVICE")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def show_(device_id: str, as_json: bool, home: Path | None) -> None:
    """Tell how DEVICE stands, what to do if it is unreachable, its push tokens, and its last wakes."""
    with opened(home) as (settings, store), store.read() as session:
        row = people.get_device(session, device_id)
        (found,) = reach.of(session, [row], settings.reach_terms, time.time())
    if as_json:
        click.echo(json.dumps(device_as_dict(found, details=True), indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(found))


@device.command("set")
@click.argument("device_id", metavar="DEVICE")
@click.option(
    "--media",
    type=click.Choice(DEVICE_MEDIA),
    default=None,
    help="What audio it takes; auto: WebRTC over WebSocket, else plain RTP.",
)
@click.option(
    "--codecs",
    default=None,
    metavar="NAMES",
    help=f"The only ones it is offered, the best first, of {', '.join(CODECS)}; empty: any.",
)
@click.option(
    "--dtmf",
    type=click.Choice(DEVICE_DTMF),
    default=None,
    help="How it gets keys that the PBX sends by INFO; auto: as they were sent.",
)
@home_option
def set_(device_id: str, media: str | None, codecs: str | None, dtmf: str | None, home: Path | None) -> None:
    """Change how DEVICE is offered audio, such as: set bob-k7f3qd --codecs opus,PCMA."""
    if media is None and codecs is None and dtmf is None:
        raise click.UsageError("nothing to set: give --media, --codecs or --dtmf")
    with opened(home) as (_, store), store.write() as session:
        changed = people.change_device(session, device_id, media=media, codecs=codecs, dtmf=dtmf)
        told = f"media {changed.media}, codecs {changed.codecs or 'any'}, dtmf {changed.dtmf}"
    click.echo(f"changed {device_id}: {told}")


@device.command()
@click.argument("device_id", metavar="DEVICE")
@click.option(
    "--minutes", type=int, default=LINK_MINUTES, show_default=True, help="For how long it can be used."
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def link(device_id: str, minutes: int, as_json: bool, home: Path | None) -> None:
    """Make a one-time link: the browser that opens it becomes this DEVICE (its id, or its name)."""
    with opened(home) as (settings, store):
        with store.write() as session:
            row = people.find_device(session, device_id)
            made = phone_links.create(session, row.id, minutes)
        # Behind the #: it never reaches a proxy, a log or a link preview.
        url = f"{settings.phone_url}/phone/#{made.code.reveal()}"
        if as_json:
            click.echo(json.dumps({"device": row.id, "url": url, "expires_at": made.expires_at}))
            return
        click.echo(url)
        picture = io.StringIO()
        segno.make_qr(url, error="l").terminal(out=picture, compact=True)
        click.echo(picture.getvalue())
        click.echo(
            f"It makes the browser that opens it {row.id}, once, until {moment(made.expires_at)}.\n"
            "It holds no password: a new one is made when it is used, and signs out what the device was before."
        )


@device.command()
@click.argument("device_id", metavar="DEVICE")
@home_option
def remove(device_id: str, home: Path | None) -> None:
    """Remove a device; it can neither register nor be woken any more."""
    with opened(home) as (_, store), store.write() as session:
        without = people.remove_device(session, device_id)
    click.echo(f"removed {device_id}")
    say_without_fallback(without)


@device.command()
@click.argument("device_id", metavar="DEVICE")
@home_option
@click.pass_context
def wake(context: click.Context, device_id: str, home: Path | None) -> None:
    """Call DEVICE for a test, and tell step by step how far that came. Exit status 1 unless it rang."""
    with opened(home) as (settings, store):
        with store.write() as session:
            test = wake_tests.want(session, device_id, settings.reach_terms, time.time())
        click.echo(f"calling {device_id} …")
        while test.finding is None:
            time.sleep(LOOK_S)
            with store.read() as session:
                test = wake_tests.get(session, test.device, test.id, time.time())
    if test.story is not None:
        click.echo(as_story(test.story))
        click.echo()
    click.echo(test.finding.words)
    if not test.finding.ok:
        context.exit(1)
