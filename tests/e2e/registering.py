"""A REGISTER by hand, with a Contact as no phone of ours makes it."""

from __future__ import annotations

from sipmessage import Response

from demo.phone import digest
from demo.phone.message import parse
from demo.stack import DemoDevice, Stack
from tests.e2e.raw_sip import UdpSocket, request


async def registers(stack: Stack, device: DemoDevice, parameters: str, more: str = "") -> Response:
    """The answer to a REGISTER of the device with these parameters in its Contact's URI."""
    async with UdpSocket(stack.sip_address()) as socket:
        uri = f"sip:{stack.domain}"
        host, port = socket.source
        lines = [
            f"Contact: <sip:{device.id}@{host}:{port}{parameters}>{more}",
            f"To: <sip:{device.id}@{stack.domain}>",
            f"From: <sip:{device.id}@{stack.domain}>;tag=1",
        ]
        challenge = parse(await socket.answer_to(request("REGISTER", uri, *lines, source=socket.source)))
        assert isinstance(challenge, Response)
        offered = digest.challenges(challenge)[0]
        proof = digest.answer(
            offered, method="REGISTER", uri=uri, username=device.id, password=device.password
        )
        proven = [*lines, f"{offered.header}: {proof}", "CSeq: 2 REGISTER"]
        answer = parse(await socket.answer_to(request("REGISTER", uri, *proven, source=socket.source)))
        assert isinstance(answer, Response)
        return answer
