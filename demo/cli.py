"""`nightbell demo` and `nightbell sandbox`: what people try the product with, as plugins of its command line."""

from __future__ import annotations

from pathlib import Path

import click

from demo.sandbox.main import run

DEMO_HOME = Path(__file__).parents[1] / "run" / "demo"


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEMO_HOME,
    help="The folder of the demo's own installation. Default: run/demo",
)
@click.option("--down", "action", flag_value="down", help="Stop what an earlier demo left running.")
@click.option("--status", "action", flag_value="status", help="Say what runs.")
@click.option(
    "--provider", type=click.Choice(["apns", "fcm", "webpush"]), default="apns", help="Who wakes the phone."
)
@click.pass_context
def demo(context: click.Context, home: Path, provider: str, action: str | None) -> None:
    """Let a real PBX call a sleeping phone, on loopback, and show what happens."""
    # What this needs takes half a second to load; `nightbell --help` need not wait for it.
    from demo import story  # noqa: PLC0415

    actions = {"down": story.take_down, "status": story.show_status}
    if action is not None:
        context.exit(actions[action](home))
    context.exit(story.play(home, provider))


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where its keys and certificates are kept, and where sandbox.json tells how to reach it.",
)
@click.option("--address", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--apns-port", default=0, help="0: the system chooses.")
@click.option("--fcm-port", default=0, help="0: the system chooses.")
@click.option("--control-port", default=0, help="0: the system chooses.")
@click.option("--webpush-port", default=0, help="0: the system chooses.")
def sandbox(
    directory: Path, address: str, apns_port: int, fcm_port: int, control_port: int, webpush_port: int
) -> None:
    """Speak Apple's, Google's and the browsers' push protocols on loopback, to try things without their keys."""
    run(
        directory,
        apns_port,
        fcm_port,
        control_port,
        webpush_port,
        address=address,
        ready=lambda started: click.echo(
            f"ready; control at {started.control_url}, browsers' endpoints at {started.webpush_url}"
        ),
    )
