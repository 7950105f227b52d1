"""BYEs that the edge agent has Kamailio send: it cannot send requests of a dialog itself, nor by Kamailio's RPC."""

from __future__ import annotations

from kemi import ksr, wire
from kemi.node import Node
from kemi.wire import Bye


def send_byes(node: Node) -> int:
    """Timer, each half second: send what the edge agent has put into the table."""
    for call, text in ksr.table_items(wire.TABLE_BYES):
        ksr.table_remove(wire.TABLE_BYES, call)
        try:
            bye = Bye.decode(text)
        except wire.WireError as error:
            node.events.count("bye-unreadable", str(error))
            continue
        ksr.tm_send("BYE", bye.ruri, bye.next_hop, bye.socket, bye.headers)
    return 1
