"""What media costs: the calls that a core can carry, against rtpengine alone; and how soon audio flows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from control.settings import Settings
from tests.bench import sip
from tests.bench.calls import Bench
from tests.bench.edge import BenchError, Edge
from tests.bench.figures import Figure, against
from tests.bench.media import describe, rtp, sides
from tests.bench.media.rtp import Sender, Stream
from tests.bench.media.sides import Ends
from tests.bench.pair import PBX, PHONES
from tests.bench.population import phones
from tests.bench.progress import Progress

PEER = "rtpengine driven directly, the same codecs"
GOAL = 0.95
_OURS, _BARE = "127.0.41.1", "127.0.42.1"
_AUDIO = "127.0.45.1", "127.0.46.1"  # of the PBX, of the devices
_OPUS_STEP = 960  # samples of 48 kHz in 20 ms


@dataclass(frozen=True)
class _Kind:
    figure: str
    words: str
    calls: int
    transcoded: bool


_G711 = _Kind("media.calls_per_core_g711", "PCMA to PCMA", 200, transcoded=False)
_TRANSCODED = _Kind("media.calls_per_core_transcoded", "PCMA to Opus", 40, transcoded=True)
_ROUNDS = 8
_SECONDS = 3.0  # of audio in a round


def g711(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`media.calls_per_core_g711`. ``scale`` shortens a trial."""
    return [_calls_per_core(_G711, home, repository, progress, scale)]


def transcoded(home: Path, repository: Path, progress: Progress, scale: float) -> list[Figure]:
    """`media.calls_per_core_transcoded`. ``scale`` shortens a trial."""
    return [_calls_per_core(_TRANSCODED, home, repository, progress, scale)]


def _calls_per_core(kind: _Kind, home: Path, repository: Path, progress: Progress, scale: float) -> Figure:
    count = max(4, int(kind.calls * scale))
    seconds = max(1.0, _SECONDS * scale)
    progress.title(f"media: {count} calls, {kind.words}, {_ROUNDS} rounds of {seconds:g} s each")
    pairs = []
    with _prepared(kind, home, repository, count) as (edge, ours, bare, sender):
        for number in range(_ROUNDS + 1):
            progress.step(f"round {number} of {_ROUNDS}" if number else "warming up")
            before = [sides.cpu_of(relay.process) for relay in (ours, bare)]
            sent = sender.send(seconds)
            after = [sides.cpu_of(relay.process) for relay in (ours, bare)]
            for relay, packets in zip((ours, bare), sent, strict=True):
                relay.check(packets, count, kind.transcoded)
            if number:
                mine, theirs = (used - start for start, used in zip(before, after, strict=True))
                pairs.append((count * seconds / mine, count * seconds / theirs))
        edge.check()
    return against(kind.figure, "calls", PEER, pairs, GOAL, more=True)


class _Relay:
    """One rtpengine, and how many packets it has relayed so far."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process = sides.relay_of(settings)
        self._seen = 0

    def check(self, sent: int, calls: int, transcoded: bool) -> None:
        """Raise BenchError unless what was sent was relayed, and transcoded if it was to be: else it is no measure."""
        relayed, streams = sides.relayed(self.settings)
        new, self._seen = relayed - self._seen, relayed
        if new < sent * 0.97:
            raise BenchError(f"of {sent} packets only {new} were relayed")
        if transcoded != (streams >= calls):
            raise BenchError(f"{streams} streams of {calls} calls are transcoded")


@contextmanager
def _prepared(
    kind: _Kind, home: Path, repository: Path, count: int
) -> Iterator[tuple[Edge, _Relay, _Relay, Sender]]:
    people = phones(count)
    with ExitStack() as stack:
        edge = Edge("kemi", home / "kemi", _OURS, native=False, repository=repository)
        ours, bare = _Relay(edge.settings), _Relay(sides.relay_alone(home / "bare", _BARE))
        for relay in (ours, bare):
            stack.callback(relay.process.stop)
            relay.process.start()
        bench = stack.enter_context(closing(Bench(edge, PHONES, PBX)))
        stack.callback(edge.stop)
        edge.start(people, PBX, 20.0, relayed=("opus",) if kind.transcoded else ("PCMA",))
        bench.register(people, bench.credential(people[0]))
        pbx, device = (stack.enter_context(closing(sip.udp(address))) for address in _AUDIO)
        places = pbx.getsockname(), device.getsockname()
        mine = sides.through_nightbell(bench, people, *places, kind.transcoded)
        theirs = sides.directly(bare.settings, count, *places, kind.transcoded)
        payloads, step = rtp.PCMA_PAYLOADS, rtp.SAMPLES
        if kind.transcoded:
            sample = theirs[0]
            payloads = rtp.record(pbx, _from_pbx(sample), device, sample.device_type)
            step = _OPUS_STEP
            # And the other way round: only what is heard on both sides is a call.
            from_device = Stream(sample.from_device, sample.device_type, payloads, step)
            rtp.record(device, from_device, pbx, describe.PCMA_TYPE)

        def streams(ends: list[Ends]) -> rtp.Load:
            from_device = [Stream(e.from_device, e.device_type, payloads, step) for e in ends]
            return [(pbx, [_from_pbx(each) for each in ends]), (device, from_device)]

        sender = stack.enter_context(closing(Sender((streams(mine), streams(theirs)))))
        edge.measure_idle()
        yield edge, ours, bare, sender


def _from_pbx(ends: Ends) -> Stream:
    return Stream(ends.from_pbx, describe.PCMA_TYPE, rtp.PCMA_PAYLOADS)
