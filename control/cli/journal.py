"""`nightbell journal`: what became of each call, and why."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from control.cli.installation import home_option, opened
from control.cli.table import show
from control.domain.journal import OUTCOMES, CallFilter, CallHead, Step
from control.domain.story import summary, title
from control.domain.story_json import beat_as_dict, call_as_dict, story_as_dict
from control.domain.story_text import as_text, ending, heading, line, moment
from control.services import journal as service
from control.store.session import Store

LOOK_S = 0.3  # how often the database is asked while somebody follows
LATE_S = 2.0  # how long after a call's end its last steps, and how its audio was, may come
AT_ONCE = 200  # calls that may begin between two looks


@click.group()
def journal() -> None:
    """The journal: the story of each call."""


@journal.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--device", default="", help="Only calls that this device took part in.")
@click.option("--connection", default="", help="Only calls over this connection, by name or id.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only calls that came to this.")
@click.option("--follow", is_flag=True, help="Go on: a line for each call that begins or comes to something.")
@click.option("--json", "as_json", is_flag=True, help="For scripts; with --follow, one object a line.")
@home_option
def list_(
    limit: int,
    device: str,
    connection: str,
    outcome: str | None,
    follow: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Show the newest calls."""
    wanted = CallFilter(device=device, connection=connection, outcome=outcome or "")
    with opened(home) as (_, store):
        if follow:
            # Ctrl-C is how it ends.
            with suppress(KeyboardInterrupt):
                for head in _changes(store, wanted, limit):
                    _out(json.dumps(call_as_dict(head), ensure_ascii=False) if as_json else _line(head))
            return
        with store.read() as session:
            heads = service.latest(session, limit, wanted=wanted)
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
@click.option(
    "--follow", is_flag=True, help="Go on until the call is over: a line for each step, as it happens."
)
@click.option("--json", "as_json", is_flag=True, help="For scripts; with --follow, one object a line.")
@home_option
def show_(call: str, follow: bool, as_json: bool, home: Path | None) -> None:
    """Tell the story of CALL: its reference or the beginning of it, a SIP Call-ID, or `latest`."""
    with opened(home) as (_, store):
        if follow:
            _follow(store, call, as_json=as_json)
            return
        with store.read() as session:
            story = service.story(session, call)
    click.echo(json.dumps(story_as_dict(story), indent=2, ensure_ascii=False) if as_json else as_text(story))


def _changes(store: Store, wanted: CallFilter, limit: int) -> Iterator[CallHead]:
    """The calls that are wanted, the oldest first, and then for ever those that begin or change."""
    known: dict[str, CallHead] = {}
    while True:
        with store.read() as session:
            heads = service.latest(session, limit if not known else AT_ONCE, wanted=wanted)
        for head in reversed(heads):
            if known.get(head.call) != head:
                yield head
        known = {head.call: head for head in heads}
        time.sleep(LOOK_S)


def _follow(store: Store, reference: str, *, as_json: bool) -> None:
    """Print the steps of a call as they happen, until it is over."""
    with store.read() as session:
        story = service.story(session, reference)
    if not as_json:
        _out(heading(story))
    told: set[Step] = set()
    while True:
        for beat in story.beats:
            if beat.step not in told:
                told.add(beat.step)
                _out(json.dumps(beat_as_dict(beat), ensure_ascii=False) if as_json else line(beat))
        if story.head.ended_at and time.time() - story.head.ended_at > LATE_S:
            break
        time.sleep(LOOK_S)
        with store.read() as session:
            story = service.story(session, story.head.call)
    if not as_json:
        _out(ending(story))


def _line(head: CallHead) -> str:
    return f"{head.call}  {moment(head.started_at)}  {title(head)}  {summary(head)}"


def _out(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()  # whoever follows may do so through a pipe
