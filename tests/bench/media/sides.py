"""The two that are compared: calls through Nightbell, and the same calls through an rtpengine that is driven directly."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from control.host import ng
from control.host.installation import Installation
from control.host.process import Process
from control.settings import EdgeSettings, RtpengineSettings, Settings
from demo.ports import free_ports
from tests.bench import sip
from tests.bench.calls import Bench
from tests.bench.edge import BenchError
from tests.bench.media import describe
from tests.bench.population import Phone
from tests.bench.sip import Address

_PATIENCE = 3.0  # s


@dataclass(frozen=True)
class Ends:
    """Where the relay wants the audio of one call: the PBX's, and the device's with the number of its codec."""

    from_pbx: Address
    from_device: Address
    device_type: int


def relay_alone(home: Path, address: str) -> Settings:
    """The settings of an rtpengine that has no Kamailio."""
    (port,) = free_ports(address, 1)
    relay = RtpengineSettings(ng_port=port, control=address, rtp_min=32000, rtp_max=33999)
    return Settings(home=home, edge=EdgeSettings(address=address), rtpengine=(relay,))


def relay_of(settings: Settings) -> Process:
    """The rtpengine of these settings."""
    (process,) = Installation(settings).relays
    return process


def cpu_of(process: Process) -> float:
    """CPU seconds that all threads of a process have used (proc(5), schedstat)."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text(encoding="ascii").split()[0]) for each in threads) / 1e9


def relayed(settings: Settings) -> tuple[int, int]:
    """How many packets an rtpengine has relayed so far, and how many of its streams are transcoded."""
    (relay,) = settings.rtpengine
    figures = ng.ask(relay.control, relay.ng_port, "statistics")["statistics"]
    return (
        int(figures["totalstatistics"]["relayedpackets"]),
        int(figures["currentstatistics"]["transcodedmedia"]),
    )


def directly(settings: Settings, count: int, pbx: Address, device: Address, transcoded: bool) -> list[Ends]:
    """So many calls set up with the relay itself, with the fewest words that do it."""
    (relay,) = settings.rtpengine
    found = []
    for number in range(count):
        call = {"call-id": f"bare-{number}", "from-tag": f"f{number}"}
        codec = {"codec": {"mask": ["all"], "transcode": ["opus"]}} if transcoded else {}
        offer = ng.ask(
            relay.control,
            relay.ng_port,
            "offer",
            {**call, **codec, "ICE": "remove", "sdp": describe.pcma(pbx).decode()},
        )["sdp"].encode()
        payload = describe.opus_type(offer) if transcoded else describe.PCMA_TYPE
        answer = describe.opus(device, payload) if transcoded else describe.pcma(device)
        back = ng.ask(
            relay.control,
            relay.ng_port,
            "answer",
            {**call, "to-tag": f"t{number}", "ICE": "remove", "sdp": answer.decode()},
        )["sdp"].encode()
        found.append(Ends(describe.place(back), describe.place(offer), payload))
    return found


def through_nightbell(
    bench: Bench, people: Sequence[Phone], pbx: Address, device: Address, transcoded: bool
) -> list[Ends]:
    """A call of the PBX to each of them, answered. Raises BenchError."""
    return [_call(bench, phone, pbx, device, transcoded) for phone in people]


def _call(bench: Bench, phone: Phone, pbx: Address, device: Address, transcoded: bool) -> Ends:
    at = bench.pbx_link.getsockname()
    invite = sip.invite(phone, at, bench.edge.sip, 1, describe.pcma(pbx))
    bench.pbx_link.sendto(invite, bench.edge.sip)
    rung = receive(bench.phone_link, lambda m: m.startswith(b"INVITE "))
    offer = rung.partition(b"\r\n\r\n")[2]
    payload = describe.opus_type(offer) if transcoded else describe.PCMA_TYPE
    answer = describe.opus(device, payload) if transcoded else describe.pcma(device)
    bench.phone_link.sendto(
        sip.answer(rung, b"200 OK", bench.phone_link.getsockname(), answer), bench.edge.sip
    )
    done = receive(bench.pbx_link, lambda m: sip.status(m) >= 200)
    if sip.status(done) != 200:
        raise BenchError(f"a call was answered with {done.splitlines()[0]!r}")
    bench.pbx_link.sendto(sip.in_dialog(b"ACK", done, phone, at, 1), bench.edge.sip)
    return Ends(describe.place(done.partition(b"\r\n\r\n")[2]), describe.place(offer), payload)


def receive(link: socket.socket, wanted: Callable[[bytes], bool]) -> bytes:
    """The next message of that kind. Raises BenchError."""
    deadline = time.monotonic() + _PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        if select.select([link], [], [], left)[0]:
            message = link.recv(65535)
            if wanted(message):
                return message
    raise BenchError(f"nothing of what was waited for came within {_PATIENCE:g} s")
