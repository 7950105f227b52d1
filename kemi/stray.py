"""Two devices answer the same call: the first one has it, the other is thanked and sent away, and the media stays as it is.

So is a device that answers a call which is over: it lost its network while it rang, and has not heard of the CANCEL.

A proxy has to pass every 2xx on, and the caller has to end the legs it does not want (RFC 3261, 13.2.2.4). There are PBXs that
acknowledge the second one in the wrong dialog, or let it have the audio. So the caller's duty is done here, before the PBX sees it.
"""

from __future__ import annotations

from kemi import call_mark, contact, ksr
from kemi.node import Node

# "Call-ID CSeq From-tag" of an INVITE -> the To-tag of the 2xx that was the first. The branch would not do: the answer to a call
# that Nightbell itself has placed comes by here twice.
_FIRST = "first"
_GIVEN_UP = (
    "?"  # instead of that tag: one of these INVITEs was given up; a PBX may send it along several ways
)
_GIVEN_UP_S = 300  # s that the answer of a phone which was gone may come after that
_STRAY = "stray"  # "Call-ID To-tag" of the legs that were sent away, "Call-ID branch" of the INVITEs that were given up
_RENUMBERED = ";z="
_WINNER = "$avp(nb_winner)"  # the index of that branch, in its transaction
_SOCKETS = {"ws": "tcp", "wss": "tls"}


def turned_away(node: Node) -> bool:
    """Before the transaction layer sees a 2xx to an INVITE: whether it was too late, and has been dealt with."""
    call, tag = ksr.call_id(), ksr.pv("$tt")
    if _is_first(tag):
        return False
    known = ksr.table_get(_STRAY, f"{call} {tag}")
    ksr.table_set(_STRAY, f"{call} {tag}", "1")
    number = _number()
    _send(node, "ACK", number)
    if not known:
        _send(node, "BYE", number + 1)
    return True


def _is_given_up() -> bool:
    invite = ksr.via_branches()[1:2]
    return bool(invite) and bool(ksr.table_get(_STRAY, f"{ksr.call_id()} {invite[0]}"))


def _is_first(tag: str) -> bool:
    key = invite()
    ksr.table_lock(_FIRST, key)
    try:
        first = ksr.table_get(_FIRST, key)
        is_first = not _is_given_up() if first == _GIVEN_UP else first in ("", tag)
        if is_first and first != tag:
            ksr.table_set(_FIRST, key, tag)
    finally:
        ksr.table_unlock(_FIRST, key)
    return is_first


def is_answered(invite: str) -> bool:
    """Whether one of the INVITEs of that name has been answered by 2xx."""
    return ksr.table_get(_FIRST, invite) not in ("", _GIVEN_UP)


def invite() -> str:
    """The name of the INVITE that the message at hand is, cancels or answers: the same for all ways a PBX sends it along."""
    return f"{ksr.call_id()} {ksr.cseq()} {ksr.pv('$ft')}"


def given_up() -> None:
    """In a failure route: the caller has been told that the call is over, and an answer that comes yet is for nobody."""
    ksr.table_set(_STRAY, f"{ksr.call_id()} {ksr.via_branch()}", "1")
    name = invite()
    if not is_answered(name):
        ksr.table_set_for(_FIRST, name, _GIVEN_UP, _GIVEN_UP_S)


def _number() -> int:
    """The CSeq of the INVITE as this callee knows it.

    When our answer to a challenge has raised it by one, Kamailio has put the caller's own back into the reply, and a mark of that
    into our Via.
    """
    return int(ksr.cseq()) + (_RENUMBERED in ksr.header("Via"))


def _send(node: Node, method: str, number: int) -> None:
    """Send a request in the dialog of the reply at hand, back along the way it came."""
    transport = ksr.protocol()
    ksr.tm_send(
        method,
        contact.parse(ksr.header("Contact")).uri,
        f"sip:{ksr.source_address()}:{ksr.source_port()};transport={transport}",
        f"{_SOCKETS.get(transport, transport)}:{node.settings.address}:{ksr.local_port()}",
        f"From: {ksr.header('From')}\r\nTo: {ksr.header('To')}\r\n"
        f"Call-ID: {ksr.call_id()}\r\nCSeq: {number} {method}\r\n{_way_on()}",
    )


def _way_on() -> str:
    """An answer to an errand came by way of ourselves: what is sent back has to take the same way, by the errand's own route."""
    if not ksr.from_ourselves():
        return ""
    recorded = [part.strip() for part in ksr.headers("Record-Route").split(",") if part.strip()]
    mark = call_mark.in_route(recorded[0]) if recorded else ""
    ours = [part for part in recorded if mark and call_mark.in_route(part) == mark]
    return f"Route: {', '.join(reversed(ours))}\r\n" if ours else ""


def has_answered(branch: int) -> None:
    """In a reply route, with a 2xx: the call is this branch's from now on."""
    ksr.pv_set(_WINNER, str(branch))


def is_late(branch: int) -> bool:
    """In a reply route: whether another branch has the call already."""
    return ksr.pv(_WINNER) not in ("", str(branch))


def is_stray(device_tag: str) -> bool:
    """Whether a request within a dialog belongs to a leg that was sent away; ``device_tag`` is the tag of its device."""
    return bool(ksr.table_get(_STRAY, f"{ksr.call_id()} {device_tag}"))
