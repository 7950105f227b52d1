"""`nightbell edge`: the agent beside Kamailio, in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from control.cli.installation import home_option, settings_of
from control.edge.errors import EdgeError
from control.edge.main.daemon import run
from control.push.errors import PushError


@click.command()
@home_option
def edge(home: Path | None) -> None:
    """Run the edge agent: pushes, journal, and what Kamailio is told. Stops at SIGTERM."""
    try:
        run(settings_of(home))
    except (EdgeError, PushError) as error:
        raise click.ClickException(str(error)) from None


commands: list[click.Command] = [edge]
