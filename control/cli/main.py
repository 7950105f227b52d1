"""The command ``nightbell``: collects the commands of all rooms, and those that plugins bring."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError

from control.cli import edge, host
from control.cli.connections import connection
from control.cli.devices import device
from control.cli.init import init
from control.cli.journal import journal
from control.cli.keys import keys
from control.cli.media import media
from control.cli.registrations import alarms, register_log
from control.cli.users import user
from control.cli.web import web
from control.domain.errors import DomainError
from control.settings_table import SettingsError
from control.store.errors import StoreError

PLUGIN_GROUP = "nightbell.commands"


class Nightbell(click.Group):
    """The product's own commands, and plugins by entry point, which are loaded only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name; a plugin cannot take the place of one of our own."""
        own = super().get_command(ctx, cmd_name)
        plugin = _plugins().get(cmd_name)
        if own is not None or plugin is None:
            return own
        try:
            loaded = plugin.load()
        except (ImportError, AttributeError) as error:
            return _broken(cmd_name, f"the command {cmd_name} ({plugin.value}) does not load: {error}")
        if not isinstance(loaded, click.Command):
            return _broken(cmd_name, f"the command {cmd_name} ({plugin.value}) is not a click command")
        return loaded

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a person can mend is said in a sentence, not in a traceback."""
        try:
            return super().invoke(ctx)
        except (DomainError, StoreError, SettingsError) as error:
            raise click.ClickException(str(error)) from None
        except ArgumentError:
            # Its text is not shown: an URL may hold a password.
            raise click.ClickException(
                "database.url in nightbell.toml cannot be understood; write sqlite:///state/control.db or "
                "postgresql+psycopg://user@host/database"
            ) from None
        except (OperationalError, ProgrammingError) as error:
            raise click.ClickException(
                f"the database does not work: {error.orig}; is it up, and has `nightbell init` been run?"
            ) from None


def _broken(name: str, problem: str) -> click.Command:
    """Stands where a plugin does not load: the other commands, and the help that lists all, must go on."""

    def complain(**_: object) -> None:
        raise click.ClickException(problem)

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=complain, short_help="(does not load)", context_settings=settings)


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=PLUGIN_GROUP)}


@click.group(cls=Nightbell, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nightbell", prog_name="nightbell")
def main() -> None:
    """Reach any phone, browser or desktop through any SIP PBX, even asleep."""


for _command in (
    init, user, device, connection, journal, register_log, alarms, keys, media, web, *host.commands, *edge.commands
):  # fmt: skip
    main.add_command(_command)
