"""`nightbell web`: the pages and the API, under gunicorn."""

from __future__ import annotations

from pathlib import Path

import click

from control.cli.installation import home_option, settings_of


@click.command()
@home_option
def web(home: Path | None) -> None:
    """Serve the pages and the API until stopped."""
    # gunicorn and Flask are of no use to the other commands, and slow to load.
    from control.web.server import serve  # noqa: PLC0415

    serve(settings_of(home))
