"""What is kept of calls: by rtpengine, asked by its own control protocol, and by Kamailio."""

from __future__ import annotations

from typing import Any

from control.host import ng
from control.settings import RtpengineSettings
from demo.stack import Stack

_DELETED = 5  # a state of module dialog


def relayed_calls(stack: Stack) -> list[str]:
    """The SIP Call-IDs of the calls that any rtpengine of the stack keeps ports for."""
    return [call for relay in stack.settings.rtpengine for call in calls_of(relay)]


def calls_of(relay: RtpengineSettings) -> list[str]:
    """The SIP Call-IDs of the calls that this rtpengine keeps ports for."""
    calls: list[str] = ng.ask(relay.control, relay.ng_port, "list")["calls"]
    return calls


def told_of_calls(relay: RtpengineSettings) -> list[dict[str, Any]]:
    """What this rtpengine says of each call that it keeps ports for: its answers to ``query``."""
    return [ng.ask(relay.control, relay.ng_port, "query", {"call-id": call}) for call in calls_of(relay)]


async def nothing_relayed(stack: Stack, within: float = 2.0) -> None:
    """Wait until rtpengine keeps no port for any call."""
    await stack.eventually(lambda: not relayed_calls(stack), "rtpengine has let go of every call", within)


def tracked_calls(stack: Stack, sip_call_id: str) -> int:
    """How many dialogs of that Call-ID Kamailio takes for alive; those that are over it forgets seconds later."""
    return sum(d["call-id"] == sip_call_id and d["state"] != _DELETED for d in stack.rpc("dlg.list"))


async def no_longer_tracked(stack: Stack, sip_call_id: str) -> None:
    """Wait until Kamailio takes the call for over."""
    await stack.eventually(lambda: not tracked_calls(stack, sip_call_id), "the dialog is over")
