"""One run of one handler: the message it looks at, and what it has said shall be done with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.fakes.kamailio.sip import Message, canonical

if TYPE_CHECKING:
    from tests.fakes.kamailio.transactions import Branch, Transaction

Mode = Literal["request", "branch", "reply", "failure", "timer", "http"]


@dataclass(frozen=True)
class Origin:
    """Where a message came from, and the local port it came to."""

    address: str = "192.0.2.10"
    port: int = 5060
    protocol: str = "udp"
    local_port: int = 5060


@dataclass(frozen=True)
class Edit:
    """One change to the headers, done when the message leaves; until then the script reads the old ones."""

    kind: Literal["append", "remove", "remove-like"]
    text: str


def edited(message: Message, edits: list[Edit]) -> Message:
    """The message with its changes: removals touch what was there before, additions come last."""
    headers = list(message.headers)
    added: list[tuple[str, str]] = []
    for edit in edits:
        if edit.kind == "append":
            for line in edit.text.removesuffix("\r\n").split("\r\n"):
                name, _, value = line.partition(":")
                added.append((name, value.strip()))
        elif edit.kind == "remove":
            headers = [h for h in headers if canonical(h[0]) != canonical(edit.text)]
        else:
            headers = [h for h in headers if not re.search(edit.text, h[0], re.IGNORECASE)]
    return Message(message.first, (*headers, *added), message.body)


@dataclass
class Target:
    """A destination of a request: its Request-URI, where to send it when that is elsewhere, and from which socket."""

    uri: str
    next_hop: str = ""
    ruid: str = ""
    socket: str = ""


@dataclass
class Context:
    """The state of one handler's run."""

    mode: Mode
    message: Message
    origin: Origin
    target: Target = field(default_factory=lambda: Target(""))
    more_targets: list[Target] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    reply_headers: list[str] = field(default_factory=list)
    avps: dict[str, str] = field(default_factory=dict)
    transaction: Transaction | None = None
    branch: Branch | None = None
    code: int = 0  # the winning status, in a failure route
    dropped: bool = False
    record_route_parameters: str = ""
