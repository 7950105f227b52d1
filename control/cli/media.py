"""`nightbell media`: the media relays, and taking one out of service without cutting a call."""

from __future__ import annotations

from pathlib import Path

import click

from control.cli.installation import home_option, settings_of
from control.cli.table import show
from control.host import relays
from control.host.errors import HostError


@click.group()
def media() -> None:
    """The rtpengines of this installation."""


@media.command("list")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
@click.pass_context
def list_(context: click.Context, as_json: bool, home: Path | None) -> None:
    """Say how each is doing, and how many calls it has. Exit status 1 if one is down."""
    try:
        found = relays.overview(settings_of(home))
    except HostError as error:
        raise click.ClickException(str(error)) from None
    rows = [
        {
            "name": relay.name,
            "state": relay.state,
            "calls": relay.calls,
            "weight": relay.weight,
            "version": relay.version,
            "why": relay.why,
        }
        for relay in found
    ]
    show(rows, as_json=as_json, empty="no media relay is set up")
    if any(each.calls is None for each in found):
        context.exit(1)


@media.command()
@click.argument("name")
@home_option
def drain(name: str, home: Path | None) -> None:
    """Give NAME no new calls; those it has go on. It stays so until `resume`, whatever is restarted."""
    _tell(name, "drain", home)


@media.command()
@click.argument("name")
@home_option
def resume(name: str, home: Path | None) -> None:
    """Give NAME calls again."""
    _tell(name, "resume", home)


def _tell(name: str, order: str, home: Path | None) -> None:
    settings = settings_of(home)
    try:
        told = relays.drain(settings, name) if order == "drain" else relays.resume(settings, name)
    except HostError as error:
        raise click.ClickException(str(error)) from None
    what = "gets no new calls" if order == "drain" else "gets calls again"
    click.echo(f"{name} {what}{'' if told else '; Kamailio does not run, and will know when it starts'}")
