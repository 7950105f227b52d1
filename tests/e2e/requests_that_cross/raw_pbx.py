"""A PBX by hand, for calls whose requests come as no real one sends them."""

from __future__ import annotations

from sipmessage import Response

from demo.phone.message import parse, split_list, uri_of
from tests.e2e.raw_sip import UdpSocket, request
from tests.e2e.scene import Scene

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
    b"a=rtpmap:0 PCMU/8000\r\n"
)


class RawPbx:
    """A PBX whose every datagram is the test's."""

    def __init__(self, scene: Scene, socket: UdpSocket) -> None:
        self._scene, self._socket = scene, socket
        self.answer = Response(100, "not yet")

    @property
    def call_id(self) -> str:
        """The Call-ID of the call that was answered."""
        return self.answer.headers["Call-ID"]

    async def call(self) -> None:
        """Call Bob, and have his answer."""
        host, port = self._scene.stack.sip_address()
        uri = f"sip:{self._scene.connection}@{host}:{port}"
        invite = request(
            "INVITE",
            uri,
            f"To: <{uri}>",
            "Content-Type: application/sdp",
            f"Content-Length: {len(SDP)}",
            source=self._socket.source,
            body=SDP,
        )
        answer = parse(await self._socket.answer_to(invite, within=5.0))
        assert isinstance(answer, Response)
        assert answer.code == 200
        self.answer = answer

    def send(self, *methods: str, number: int = 2) -> None:
        """Send requests within the call, one behind the other; ``number`` is their CSeq, but for an ACK."""
        for method in methods:
            self._socket.send(self._within(method, number))

    def _within(self, method: str, number: int) -> bytes:
        headers = self.answer.headers
        routes = reversed(split_list(headers.getlist("Record-Route")))
        news = ("Event: refer", "Subscription-State: active") if method == "NOTIFY" else ()
        return request(
            method,
            uri_of(headers["Contact"]),
            *(f"Route: {route}" for route in routes),
            *(f"{name}: {headers[name]}" for name in ("From", "To", "Call-ID")),
            f"CSeq: {1 if method == 'ACK' else number} {method}",
            *news,
            source=self._socket.source,
        )
