"""What rtpengine knows of a call: the proof that audio flows through it."""

from __future__ import annotations

from control.host import ng
from control.host.ng import NgError
from control.settings import Settings


def relayed_packets(settings: Settings, call_id: str) -> int:
    """How many RTP packets the installation's rtpengines have relayed for a SIP Call-ID; 0 when none knows that call."""
    return sum(_packets(relay.control, relay.ng_port, call_id) for relay in settings.rtpengine)


def _packets(address: str, port: int, call_id: str) -> int:
    try:
        answer = ng.ask(address, port, "query", {"call-id": call_id})
    except NgError:
        return 0
    return int(answer.get("totals", {}).get("RTP", {}).get("packets", 0))
