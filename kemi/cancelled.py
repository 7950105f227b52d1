"""A call that its caller gives up, and a phone that rang and is gone: nobody answers the CANCEL, nor the INVITE any more.

The transaction layer would wait for that phone as long as it lets one ring that nobody picks up, and the caller, the journal and
the media with it. RFC 3261, 9.1, lets who has sent a CANCEL consider the INVITE over when no answer comes. So Nightbell gives the
answer of the phone that is gone: a 599 to its branch by way of the park socket, which goes on as a reply from anywhere does, and
becomes 487 for the caller.
"""

from __future__ import annotations

import time

from kemi import ksr, stray, wake
from kemi.node import Node

# Both are by the INVITE: its Call-ID and its branch, which is that of its CANCEL, too (RFC 3261, 9.1), and no other INVITE's.
_RINGING = "ringing"  # -> the branches on which a phone has said something, but nothing final
_CANCELLED = "cancelled"  # -> UNIX seconds, what kemi/stray.py calls the INVITE, what an answer has in common with the CANCEL

# s that a phone has for its own answer: so long that it has been sent the CANCEL twice, and has come out of its radio's sleep.
_PATIENCE = 1.0


def heard() -> None:
    """In a reply route: a phone has said something; one is enough of each kind. An answer is known to kemi/stray.py."""
    code = ksr.status()
    branches = [] if 200 <= code < 300 else ksr.via_branches()
    if len(branches) < 2:
        return
    branch, invite = branches[:2]
    with wake.HeldCalls(_key(invite), _RINGING) as ringing:
        others = " ".join(b for b in ringing.value.split() if b != branch)
        ringing.value = f"{others} {branch}".strip() if code < 200 else others


def request() -> int:
    """Take a CANCEL."""
    if not ksr.tm_matches():
        return 1
    ksr.tm_relay()
    key = _key(ksr.via_branch())
    if ksr.table_get(_RINGING, key):
        common = "".join(f"{name}: {ksr.header(name)}\r\n" for name in ("Via", "From", "To", "Call-ID"))
        ksr.table_set(
            _CANCELLED, key, f"{time.time()}\n{stray.invite()}\n{common}CSeq: {ksr.cseq()} INVITE\r\n"
        )
    return 1


def answer_for_the_gone(node: Node) -> int:
    """Timer, each half second: answer for phones that have been silent too long; again, until that has arrived."""
    now, park = time.time(), node.settings.park
    for key, text in ksr.table_items(_CANCELLED):
        since, invite, common = text.split("\n", 2)
        if now - float(since) < _PATIENCE:
            continue
        ringing = [] if stray.is_answered(invite) else ksr.table_get(_RINGING, key).split()
        if not ringing:
            ksr.table_remove(_CANCELLED, key)
        for branch in ringing:
            via = f"Via: SIP/2.0/UDP {park};branch={branch}\r\n"
            answer = f"SIP/2.0 599 Gone\r\n{via}{common}Content-Length: 0\r\n\r\n"
            ksr.send(f"sip:{park}", f"udp:{park}", answer)
    return 1


def _key(branch: str) -> str:
    return f"{ksr.call_id()} {branch}"
