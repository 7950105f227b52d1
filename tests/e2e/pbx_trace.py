"""The SIP messages between the PBX and Nightbell, as the PBX wrote them down itself."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

from demo.stack import Stack

# Each entry of Asterisk's log begins with its time; what follows up to the next entry is the message.
_ENTRY = re.compile(
    r"^\[(?P<at>\d{4}-[^\]]+)\] \S+ res_pjsip_logger\.c: <--- (?P<what>Received|Transmitting) SIP \w+ "
    r"\(\d+ bytes\) (?:from|to) \w+:(?P<peer>\S+) --->\n(?P<text>.*?)(?=^\[\d{4}-|\Z)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Seen:
    """One message: when (UNIX seconds, exact to 1 ms), ``in`` or ``out`` of the PBX, its peer, its text."""

    at: float
    direction: str
    peer: str
    text: str

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        words = self.text.split(None, 2)
        return int(words[1]) if words[0] == "SIP/2.0" else 0

    @property
    def method(self) -> str:
        """The method of the request, or of the one that is answered."""
        return self.header("CSeq").rpartition(" ")[2]

    def header(self, name: str) -> str:
        """The first header of that name, empty without one."""
        found = re.search(rf"^{re.escape(name)}\s*:[ \t]*(.*)$", self.text, re.MULTILINE | re.IGNORECASE)
        return found.group(1).strip() if found else ""

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.direction:>3} {self.status or ''} {self.method}"


class PbxTrace:
    """What the PBX and Nightbell say to each other, from the moment this was made."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        stack.pbx.cli("pjsip set logger on")
        self._begin = stack.pbx.log.stat().st_size

    def messages(self, direction: str, method: str, status: int = 0) -> list[Seen]:
        """Requests, or responses of a status, oldest first; directions are the PBX's (``in``: from Nightbell).

        What comes again, byte for byte, is a retransmission, as a slow machine brings them, and counts once.
        """
        found: dict[str, Seen] = {}
        for seen in self.all():
            if (seen.direction, seen.method, seen.status) == (direction, method, status):
                found.setdefault(seen.text.strip(), seen)
        return list(found.values())

    async def wait_for(self, direction: str, method: str, status: int = 0, within: float = 5.0) -> Seen:
        """The first such message, once it is there."""
        found = await self._stack.eventually(
            lambda: self.messages(direction, method, status),
            f"{status or ''} {method} {direction} of the PBX".strip(),
            within,
        )
        seen: Seen = found[0]
        return seen

    def all(self) -> list[Seen]:
        """Every message so far."""
        host, port = self._stack.sip_address()
        return [seen for seen in self._read() if seen.peer == f"{host}:{port}"]

    def _read(self) -> Iterator[Seen]:
        with self._stack.pbx.log.open("rb") as log:
            log.seek(self._begin)
            text = log.read().decode("utf-8", "replace").replace("\r\n", "\n")
        for entry in _ENTRY.finditer(text):
            at = datetime.datetime.strptime(entry["at"], "%Y-%m-%d %H:%M:%S.%f").astimezone()
            direction = "in" if entry["what"] == "Received" else "out"
            yield Seen(at.timestamp(), direction, entry["peer"], entry["text"])
