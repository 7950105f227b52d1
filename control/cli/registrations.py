"""`nightbell register-log` and `nightbell alarms`: what became of registrations, and what needs somebody."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.domain.register_text import as_dict, as_row
from control.domain.story_text import moment
from control.services import alarms as alarm_service
from control.services import connections, registrations, upstream


@click.command("register-log")
@click.option("--connection", "connection_name", default=None, help="What its PBX answered.")
@click.option("--device", "device_id", default=None, help="What this device was answered.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def register_log(
    connection_name: str | None, device_id: str | None, limit: int, as_json: bool, home: Path | None
) -> None:
    """Show the registrations of a connection at its PBX, or of a device here, the newest first.

    Equal answers one after the other are one line.
    """
    if (connection_name is None) == (device_id is None):
        raise click.UsageError("give either --connection NAME or --device ID")
    with opened(home) as (_, store), store.read() as session:
        if connection_name is not None:
            row = connections.get_connection(session, connection_name)
            standing = upstream.standing(row, {}, time.time())
            runs = registrations.of_connection(session, row.id, limit)
        else:
            standing = None
            runs = registrations.of_device(session, device_id or "", limit)
    if as_json:
        click.echo(json.dumps([as_dict(run, standing) for run in runs], indent=2, ensure_ascii=False))
        return
    of = f"connection {connection_name}" if connection_name else f"device {device_id}"
    show([as_row(run) for run in runs], as_json=False, empty=f"nothing is known of registrations of {of}")


@click.command()
@click.option("--all", "all_", is_flag=True, help="Also those that are over.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def alarms(all_: bool, limit: int, as_json: bool, home: Path | None) -> None:
    """Show what needs somebody, the newest first."""
    with opened(home) as (_, store), store.read() as session:
        found = alarm_service.latest(session, limit, cleared=all_)
    if as_json:
        click.echo(json.dumps([alarm.__dict__ for alarm in found], indent=2, ensure_ascii=False))
        return
    rows = [
        {
            "since": moment(alarm.at),
            **({"over": moment(alarm.cleared_at) if alarm.cleared_at is not None else ""} if all_ else {}),
            "alarm": alarm.kind,
            "what": alarm.text,
        }
        for alarm in found
    ]
    show(rows, as_json=False, empty="no alarms")
