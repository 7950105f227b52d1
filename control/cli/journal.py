"""`nightbell journal`: what became of each call, and why."""

from __future__ import annotations

import json
from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.domain.story import summary, title
from control.domain.story_json import call_as_dict, story_as_dict
from control.domain.story_text import as_text, moment
from control.services import journal as service


@click.group()
def journal() -> None:
    """The journal: the story of each call."""


@journal.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def list_(limit: int, as_json: bool, home: Path | None) -> None:
    """Show the newest calls."""
    with opened(home) as (_, store), store.read() as session:
        heads = service.latest(session, limit)
    if as_json:
        click.echo(json.dumps([call_as_dict(head) for head in heads], indent=2, ensure_ascii=False))
        return
    rows = [
        {
            "call": head.call,
            "began": moment(head.started_at),
            "who_called_whom": title(head),
            "what_became_of_it": summary(head),
        }
        for head in heads
    ]
    show(rows, as_json=False, empty="no calls yet")


@journal.command("show")
@click.argument("call")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@home_option
def show_(call: str, as_json: bool, home: Path | None) -> None:
    """Tell the story of CALL: its reference or the beginning of it, a SIP Call-ID, or `latest`."""
    with opened(home) as (_, store), store.read() as session:
        story = service.story(session, call)
    click.echo(json.dumps(story_as_dict(story), indent=2, ensure_ascii=False) if as_json else as_text(story))
