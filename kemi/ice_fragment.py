"""The candidates in an INFO of trickle ICE (``application/trickle-ice-sdpfrag``, RFC 8840, 9), as rtpengine reads them. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_LINE = re.compile(r"[a-z]=.*")
_CREDENTIAL = re.compile(r"[A-Za-z\d+/]{4,256}", re.ASCII)  # RFC 8839, 5.4
_MID = re.compile(r"[!-~]{1,64}")
# RFC 8839, 5.1: foundation, component, transport, priority, address, port, type.
_CANDIDATE = re.compile(
    r"a=candidate:[A-Za-z\d+/]{1,32} (\d{1,3}) (\w{1,16}) \d{1,10} ([\w.:%-]{1,255}) \d{1,5} typ (\w{1,16})((?: [!-~]+)*)",
    re.ASCII,
)
_RELATED = re.compile(r" raddr \S+ rport \d+")
_RTP, _RTCP = "1", "2"  # components


class BadFragmentError(ValueError):
    """It is not what RFC 8840, 9, describes; the text says why."""


@dataclass(frozen=True)
class Fragment:
    """The ``sections`` as rtpengine reads them, ``""`` when they hold nothing for it, and the ICE generation they belong to."""

    sections: str
    ufrags: frozenset[str]


def read(body: str) -> Fragment:
    """The candidates that rtpengine can use: those by UDP with an address. Raises BadFragmentError.

    rtpengine passes over the first line, whatever it says, and ends its checks on a section without a candidate for RTP; so it
    gets each section whole, and none without.
    """
    lines = [line for line in body.replace("\r", "\n").split("\n") if line]
    if not all(map(_LINE.fullmatch, lines)):
        raise BadFragmentError("a line is no line of a session description")
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise BadFragmentError("there is no m= line")
    session = lines[: starts[0]]
    sections, ufrags = [], set()
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        section = lines[begin:end]
        mid = _attribute(section, "mid")
        if not _MID.fullmatch(mid):
            raise BadFragmentError("an m= line has no a=mid")
        ufrag, pwd = (_credential(section, session, name) for name in ("ice-ufrag", "ice-pwd"))
        ufrags.add(ufrag)
        candidates = {line: _component(line) for line in section if line.startswith("a=candidate:")}
        if _RTP in candidates.values():
            head = ("m=audio 9 RTP/AVP 0", f"a=mid:{mid}", f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}")
            sections.append("".join(f"{line}\r\n" for line in (*head, *filter(candidates.get, candidates))))
    return Fragment("".join(sections), frozenset(ufrags))


def _attribute(lines: list[str], name: str) -> str:
    return next((line.partition(":")[2] for line in lines if line.startswith(f"a={name}:")), "")


def _credential(section: list[str], session: list[str], name: str) -> str:
    found = _attribute(section, name) or _attribute(session, name)
    if not _CREDENTIAL.fullmatch(found):
        raise BadFragmentError(f"it has no a={name}")
    return found


def _component(candidate: str) -> str:
    """Of a candidate that rtpengine can use, else ``""``."""
    found = _CANDIDATE.fullmatch(candidate)
    if found is None:
        raise BadFragmentError("a candidate cannot be read")
    component, transport, address, kind, rest = found.groups()
    usable = (
        component in (_RTP, _RTCP)
        and transport.lower() == "udp"
        and _is_address(address)
        and (kind == "host" or (kind in ("srflx", "prflx", "relay") and _RELATED.match(rest)))
    )
    return component if usable else ""


def _is_address(text: str) -> bool:
    """Whether it is one; others are names, mostly in .local, that rtpengine does not look up."""
    try:
        return "%" not in str(ipaddress.ip_address(text))
    except ValueError:
        return False
