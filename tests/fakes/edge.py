"""A whole SIP edge in memory: ``kemi`` running in a fake Kamailio, its events received as the edge agent receives them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from kemi import wire
from tests.fakes.kamailio import FakeKamailio, Message, Sent, install
from tests.fakes.kamailio.context import Origin
from tests.fakes.kamailio.modules import digest_response, digest_values

install(None)
_path = sys.path[:]
from kemi import inbound, main, message, registrar  # noqa: E402 - Kamailio must be there first

sys.path[:] = _path  # kemi.main arranges the path of the process it is loaded into; this one is not its own

DOMAIN = "nightbell.test"
EVENTS_KEY = "events-key"
VAPID = "BPublicKeyOfWebPush"
IDENTITY_KEY = "00112233445566778899aabbccddeeff"
PBX = Origin("192.0.2.7", 5060)
PHONE = Origin("198.51.100.20", 40000)
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

_E = TypeVar("_E", bound=wire.Event)


@dataclass(frozen=True)
class Device:
    """An app install with its credential."""

    id: str
    password: str = "correct horse"

    @property
    def contact(self) -> str:
        return f"sip:{self.id}@{PHONE.address}:{PHONE.port}"

    @property
    def ha1(self) -> str:
        return hashlib.md5(f"{self.id}:{DOMAIN}:{self.password}".encode(), usedforsecurity=False).hexdigest()


ALICE = Device("alice-k7f3qd")
ALICE_TABLET = Device("alice-tab9x2")
ALICE_AOR = f"sip:alice@{DOMAIN}"
CONNECTION = "c8f2k1"


def kemi_json(events: str, **changes: Any) -> dict[str, Any]:
    """The contents of kemi.json."""
    return {
        "domain": DOMAIN,
        "realm": DOMAIN,
        "address": "127.0.7.1",
        "sip_port": 5060,
        "tls_port": 5061,
        "park": "127.0.0.1:5099",
        "events": events,
        "events_key": EVENTS_KEY,
        "identity_key": IDENTITY_KEY,
        "media": True,
        "push": "apns apns.dev fcm webpush",
        "vapid": VAPID,
    } | changes


class Edge:
    """One edge with one worker. Close it when done."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        self._agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._agent.bind(("127.0.61.1", 0))
        self._agent.setblocking(False)
        file = directory / "kemi.json"
        address = "{}:{}".format(*self._agent.getsockname())
        file.write_text(json.dumps(kemi_json(address, **changes)), encoding="utf-8")
        self.kamailio = FakeKamailio()
        self.kept: dict[str, str] = {}  # registrations from before the start: connection -> UpstreamDoc
        install(self.kamailio)
        # What a process keeps in its modules does not outlive the process.
        inbound._adding.clear()
        message._adding.clear()
        registrar._registrar = None
        with patch.dict(os.environ, {"NIGHTBELL_KEMI": str(file)}):
            self.handler = main.mod_init()
        self.kamailio.handler = self.handler
        self.handler.child_init(1)
        self.node = self.handler.node
        self._numbers = 0

    def close(self) -> None:
        install(None)
        self._agent.close()
        self.node.events._socket.close()

    # -- what the edge agent sees and does

    def events(self) -> list[wire.Event]:
        """The events since the last look."""
        found: list[wire.Event] = []
        while True:
            try:
                datagram = self._agent.recv(65536)
            except BlockingIOError:
                return found
            key, _, text = datagram.partition(b" ")
            assert key.decode() == EVENTS_KEY
            event = wire.decode_event(text)
            said = set(json.loads(text)) - {"v", "type"} - {f.name for f in fields(event)}
            assert not said, f"{event.type} events have no {said}: a reader drops what it does not know"
            found.append(event)

    def events_of(self, kind: type[_E]) -> list[_E]:
        """The events of one kind since the last look; the others are gone, too."""
        return [event for event in self.events() if isinstance(event, kind)]

    def table(self, name: str) -> dict[str, str]:
        """A hash table."""
        return self.kamailio.htable.tables[name]

    def put(
        self,
        table: str,
        key: str,
        document: wire.DeviceDoc | wire.LineDoc | wire.ConnectionDoc | wire.NumberDoc,
    ) -> None:
        """Write a document, as the edge agent does."""
        self.table(table)[key] = document.encode()

    def with_person(
        self, *devices: Device, push: bool = True, wait: float = 20.0, messages: bool = False
    ) -> Edge:
        """Alice, with these devices and a connection at the PBX."""
        for device in devices:
            self.put("device", device.id, wire.DeviceDoc(ALICE_AOR, device.ha1, CONNECTION))
        line = wire.LineDoc([wire.LineDevice(d.id, push) for d in devices], wait, messages=messages)
        self.put("line", ALICE_AOR, line)
        self.put("connection", CONNECTION, connection())
        self.events()
        return self

    # -- messages

    def request(self, method: str, uri: str, *headers: str, body: str = "", **parts: str) -> str:
        """A request with everything SIP demands; ``parts`` replace a mandatory header's body (``from_``, ``to`` …)."""
        self._numbers += 1
        number = self._numbers
        values = {
            "via": f"SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKtest{number}",
            "from_": f"<sip:1001@192.0.2.7>;tag=t{number}",
            "to": f"<{uri}>",
            "call_id": f"call-{number}",
            "cseq": f"1 {method}",
        } | parts
        mandatory = ("Via", "via"), ("From", "from_"), ("To", "to"), ("Call-ID", "call_id"), ("CSeq", "cseq")
        lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {values[key]}" for name, key in mandatory)]
        lines += ["Max-Forwards: 70", *headers]
        if body:
            lines.append("Content-Type: application/sdp")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def invite_from_pbx(self, *headers: str, body: str = SDP, **parts: str) -> str:
        """The PBX calls Alice's connection."""
        contact = "Contact: <sip:1001@192.0.2.7:5060>"
        return self.request(
            "INVITE", f"sip:{CONNECTION}@127.0.7.1:5060", contact, *headers, body=body, **parts
        )

    def call_from_pbx(self, *headers: str, **parts: str) -> list[Sent]:
        """The PBX's INVITE arrives."""
        return self.kamailio.receive(self.invite_from_pbx(*headers, **parts), PBX)

    def as_device(
        self,
        method: str,
        device: Device,
        uri: str,
        *headers: str,
        body: str = "",
        origin: Origin = PHONE,
        **parts: str,
    ) -> list[Sent]:
        """A device's request, refused once and then sent with its digest; returns what the second one causes."""
        parts = {
            "via": f"SIP/2.0/UDP {origin.address}:{origin.port};branch=z9hG4bKdevice{self._numbers}",
            "from_": f"<sip:{device.id}@{DOMAIN}>;tag=d{self._numbers}",
        } | parts
        first = self.kamailio.receive(self.request(method, uri, *headers, body=body, **parts), origin)
        challenge = first[-1].message
        assert challenge.code in (401, 407), challenge.first
        kind = "WWW-Authenticate" if challenge.code == 401 else "Proxy-Authenticate"
        answer = "Authorization" if challenge.code == 401 else "Proxy-Authorization"
        values = digest_values(challenge.get(kind))
        given = {"nonce": values["nonce"], "uri": uri, "nc": "00000001", "cnonce": "c", "qop": "auth"}
        ha1 = device.ha1
        text = "".join(f', {k}="{v}"' for k, v in given.items())
        line = (
            f'{answer}: Digest username="{device.id}", realm="{values["realm"]}"{text}, '
            f'response="{digest_response(ha1, method, given)}"'
        )
        parts |= {"cseq": f"2 {method}", "via": parts["via"] + "a"}
        return self.kamailio.receive(self.request(method, uri, line, *headers, body=body, **parts), origin)

    def register(
        self,
        device: Device,
        *headers: str,
        contact: str = "",
        expires: int | str = 600,
        origin: Origin = PHONE,
    ) -> list[Sent]:
        """A device registers, with its digest."""
        return self.as_device(
            "REGISTER",
            device,
            f"sip:{DOMAIN}",
            f"Contact: {contact or f'<{device.contact}>'}",
            f"Expires: {expires}",
            *headers,
            origin=origin,
            to=f"<sip:{device.id}@{DOMAIN}>",
        )

    def answer(
        self,
        sent: Sent,
        code: int,
        reason: str,
        *headers: str,
        body: str = "",
        origin: Origin = PHONE,
        tag: str = "far",
    ) -> list[Sent]:
        """The far end of a request that left answers it."""
        request = sent.message
        lines = [f"SIP/2.0 {code} {reason}"]
        lines += [f"Via: {via}" for via in request.all("Via")]
        lines += [f"{name}: {request.get(name)}" for name in ("From", "Call-ID", "CSeq")]
        lines += [f"To: {request.get('To')};tag={tag}", *headers]
        if body:
            lines.append("Content-Type: application/sdp")
        return self.kamailio.receive("\r\n".join(lines) + "\r\n\r\n" + body, origin)


def connection(**changes: Any) -> wire.ConnectionDoc:
    """Extension 1002 of the PBX at 192.0.2.7."""
    values: dict[str, Any] = {
        "aors": [ALICE_AOR],
        "domain": "pbx.example",
        "user": "1002",
        "auth_user": "1002",
        "next_hop": "sip:192.0.2.7:5060;transport=udp",
        "sources": ["192.0.2.7"],
        "realm": "asterisk",
        "ha1_md5": "0123456789abcdef0123456789abcdef",
        "ha1_sha256": "ab" * 32,
        "revision": "1",
    }
    return wire.ConnectionDoc(**(values | changes))


def requests(sent: list[Sent], method: str) -> list[Sent]:
    """The requests of one method among what left."""
    return [s for s in sent if s.message.is_request and s.message.method == method]


def replies(sent: list[Sent]) -> list[Message]:
    """The replies among what left."""
    return [s.message for s in sent if not s.message.is_request]


def codes(sent: list[Sent]) -> list[int]:
    """Their status codes."""
    return [reply.code for reply in replies(sent)]
