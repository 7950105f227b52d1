"""G.711, tones, and RTP between two sockets."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from demo.phone.g711 import CODECS
from demo.phone.rtp import Audio
from demo.phone.tone import RATE, ToneDetector, is_audible, one_second, share_of


@pytest.mark.parametrize(
    ("payload", "octet", "sample"),
    [
        # the ends and the middle of both laws, ITU-T G.711 tables 1a to 2b in 16 bits
        (0, 0xFF, 0),
        (0, 0x80, 32124),
        (0, 0x00, -32124),
        (0, 0xEF, 132),
        (8, 0xD5, 8),
        (8, 0x55, -8),
        (8, 0xAA, 32256),
        (8, 0x2A, -32256),
    ],
)
def test_g711_decodes_as_the_standard_says(payload: int, octet: int, sample: int) -> None:
    assert CODECS[payload].decode(bytes([octet])) == [sample]


@pytest.mark.parametrize("payload", [0, 8])
def test_g711_encodes_every_decoded_value_to_itself(payload: int) -> None:
    codec = CODECS[payload]
    samples = codec.decode(bytes(range(256)))
    assert codec.decode(codec.encode(samples)) == samples


@pytest.mark.parametrize("payload", [0, 8])
def test_g711_never_errs_by_more_than_its_step(payload: int) -> None:
    codec = CODECS[payload]
    samples = range(-32768, 32768, 7)
    for sample, back in zip(samples, codec.decode(codec.encode(samples)), strict=True):
        assert abs(sample - back) <= max(abs(sample) / 16, 16), (sample, back)


@pytest.mark.parametrize("payload", [0, 8])
def test_a_tone_survives_g711(payload: int) -> None:
    codec = CODECS[payload]
    samples = codec.decode(codec.encode(one_second(440)))[:800]
    assert share_of(440, samples) > 0.95
    assert share_of(480, samples) < 0.02


def test_a_detector_needs_a_whole_window_of_its_tone() -> None:
    detector = ToneDetector(1004)
    tone = one_second(1004)
    fed = [detector.feed(tone[start : start + 160]) for start in range(0, 960, 160)]
    assert fed == [False, False, False, False, True, True]


def test_a_detector_is_deaf_to_other_tones_and_to_silence() -> None:
    detector = ToneDetector(440)
    assert not detector.feed(one_second(660)[:1600])
    assert not detector.feed(CODECS[8].decode(b"\xd5" * 1600))
    assert not is_audible([8] * 160)


def test_a_tone_is_found_in_a_mix_of_two() -> None:
    mix = [first + second for first, second in zip(one_second(440), one_second(660), strict=True)]
    assert ToneDetector(440).feed(mix[:800])
    assert ToneDetector(660).feed(mix[:800])
    assert math.isclose(share_of(440, mix[:800]), 0.5, abs_tol=0.02)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Audio, Audio]]:
    alice, bob = Audio("127.0.41.1"), Audio("127.0.41.2")
    yield alice, bob
    alice.close()
    bob.close()


async def test_tones_travel_both_ways_at_once(pair: tuple[Audio, Audio]) -> None:
    alice, bob = pair
    alice.connect("127.0.41.2", bob.port, 0, sending=True)
    bob.connect("127.0.41.1", alice.port, 8, sending=True)
    alice.send_tone(440)
    bob.send_tone(660)
    heard = await asyncio.gather(bob.heard(440), alice.heard(660), bob.heard(660, within=0.3))
    assert list(heard) == [True, True, False]


async def test_silence_is_packets_without_sound(pair: tuple[Audio, Audio]) -> None:
    alice, bob = pair
    alice.connect("127.0.41.2", bob.port, 0, sending=True)
    alice.send_tone(440)
    assert await bob.heard(440)
    assert not await bob.silent(for_=0.2, within=0.4)
    alice.send_tone(None)
    assert await bob.silent(for_=0.2)
    before = bob.packets_in
    assert await bob.silent(for_=0.1)
    assert bob.packets_in > before


async def test_packets_come_at_fifty_a_second(pair: tuple[Audio, Audio]) -> None:
    alice, bob = pair
    loop = asyncio.get_running_loop()
    start = loop.time()
    alice.connect("127.0.41.2", bob.port, 0, sending=True)
    assert await bob.silent(for_=0.5)
    expected = (loop.time() - start) * RATE / 160
    assert expected * 0.8 <= bob.packets_in <= expected + 3


async def test_not_sending_means_no_packets(pair: tuple[Audio, Audio]) -> None:
    alice, bob = pair
    alice.connect("127.0.41.2", bob.port, 0, sending=False)
    assert await bob.silent(for_=0.15)
    assert bob.packets_in == 0


async def test_noise_on_the_port_is_no_audio(pair: tuple[Audio, Audio]) -> None:
    alice, bob = pair
    for packet in (b"", b"\x80", b"\x00" * 200, b"\x80\x65" + b"\x00" * 200):
        alice._socket.sendto(packet, ("127.0.41.2", bob.port))  # type: ignore[union-attr]
    alice.connect("127.0.41.2", bob.port, 0, sending=True)
    alice.send_tone(500)
    assert await bob.heard(500)
    assert bob.packets_in >= 5


async def test_ports_are_even_and_freed(pair: tuple[Audio, Audio]) -> None:
    alice, bob = pair
    assert alice.port % 2 == 0
    bob.close()
    bob.close()
    alice.connect("127.0.41.2", bob.port, 0, sending=True)
    assert await alice.silent(for_=0.1)
