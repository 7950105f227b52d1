"""What rtpengine has in hand, asked by its own control protocol."""

from __future__ import annotations

from control.host import ng
from control.settings import RtpengineSettings
from demo.stack import Stack


def relayed_calls(stack: Stack) -> list[str]:
    """The SIP Call-IDs of the calls that any rtpengine of the stack keeps ports for."""
    return [call for relay in stack.settings.rtpengine for call in calls_of(relay)]


def calls_of(relay: RtpengineSettings) -> list[str]:
    """The SIP Call-IDs of the calls that this rtpengine keeps ports for."""
    calls: list[str] = ng.ask(relay.control, relay.ng_port, "list")["calls"]
    return calls


async def nothing_relayed(stack: Stack, within: float = 2.0) -> None:
    """Wait until rtpengine keeps no port for any call."""
    await stack.eventually(lambda: not relayed_calls(stack), "rtpengine has let go of every call", within)
