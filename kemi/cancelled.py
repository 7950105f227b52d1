"""A call that its caller gives up, and a phone that rang and is gone: nobody answers the CANCEL, nor the INVITE any more.

The transaction layer would wait for that phone as long as it lets one ring that nobody picks up, and the caller, the journal and
the media with it. RFC 3261, 9.1, lets who has sent a CANCEL consider the INVITE over when no answer comes. So Nightbell gives the
answer of the phone that is gone: a 599 to its branch by way of the park socket, which goes on as a reply from anywhere does, and
becomes 487 for the caller.
"""

from __future__ import annotations

import time

from kemi import ksr, stray
from kemi.node import Node

# Both are by the INVITE: its Call-ID and its branch, which is that of its CANCEL, too (RFC 3261, 9.1), and no other INVITE's.
_RINGING = "ringing"  # and the index of a branch on which a phone has said something, but nothing final -> that branch
_CANCELLED = "cancelled"  # -> UNIX seconds, what kemi/stray.py calls the INVITE, what an answer has in common with the CANCEL

# s that a phone has for its own answer: so long that it has been sent the CANCEL twice, and has come out of its radio's sleep.
_PATIENCE = 1.0
_MOST_BRANCHES = 12  # of one transaction, in Kamailio (core, max_branches)


def heard(index: int, code: int) -> None:
    """In a reply route: the phone of that branch has said something; one is enough of each kind.

    An answer is known to kemi/stray.py.
    """
    if 200 <= code < 300:
        return
    branches = ksr.via_branches()
    if len(branches) < 2:
        return
    key = f"{_key(branches[1])} {index}"
    if code < 200:
        ksr.table_set(_RINGING, key, branches[0])
    else:
        ksr.table_remove(_RINGING, key)


def _ringing(key: str) -> list[str]:
    """The branches of an INVITE on which somebody may still ring."""
    rows = (ksr.table_get(_RINGING, f"{key} {index}") for index in range(_MOST_BRANCHES))
    return [branch for branch in rows if branch]


def request() -> int:
    """Take a CANCEL."""
    if not ksr.tm_matches():
        return 1
    ksr.tm_relay()
    key = _key(ksr.via_branch())
    if _ringing(key):
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
        ringing = [] if stray.is_answered(invite) else _ringing(key)
        if not ringing:
            ksr.table_remove(_CANCELLED, key)
        for branch in ringing:
            via = f"Via: SIP/2.0/UDP {park};branch={branch}\r\n"
            answer = f"SIP/2.0 599 Gone\r\n{via}{common}Content-Length: 0\r\n\r\n"
            ksr.send(f"sip:{park}", f"udp:{park}", answer)
    return 1


def _key(branch: str) -> str:
    return f"{ksr.call_id()} {branch}"
