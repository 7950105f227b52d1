"""`nightbell init`: a new installation's folder, keys, settings and database."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from control import settings, settings_table
from control.cli.installation import home_option
from control.services.installation import initialise


@click.command()
@click.option(
    "--domain", default="nightbell.test", show_default=True, help="The domain of people's addresses."
)
@home_option
def init(domain: str, home: Path | None) -> None:
    """Make an installation's folder. What exists already is kept; the database is brought up to date."""
    place = settings.home_from(home, os.environ)
    file = place / settings_table.FILE_NAME
    if not file.exists():
        text = settings.render({"edge": {"domain": domain}})
        settings.parse({"edge": {"domain": domain}}, place)
        place.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        click.echo(f"wrote {file}")
    known = settings.load(place)
    given = click.get_current_context().get_parameter_source("domain") is ParameterSource.COMMANDLINE
    if given and known.edge.domain != domain:
        click.echo(
            f"{file} was there already, with the domain {known.edge.domain}; --domain changes nothing",
            err=True,
        )
    for path in initialise(place, known.database.url):
        click.echo(f"wrote {path}")
    click.echo(f"{place} is ready; keep {place / 'secrets'} safe: without seal.key stored passwords are lost")
