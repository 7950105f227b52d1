"""What the figures of a call's audio mean, and which side is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.domain.quality import Audio, Heard, Leg, Obstacle, Quality, Side, judge

FINE = Heard(mos=4.3, mos_lowest=4.1, loss=0.2, jitter=3.0, round_trip=40.0)
DEVICE = Leg(Side.DEVICE, 500, "opus/48000/2", heard=FINE)
PBX = Leg(Side.PBX, 498, "PCMA/8000")
SILENT_DEVICE, SILENT_PBX = Leg(Side.DEVICE, 0), Leg(Side.PBX, 0)


@pytest.mark.parametrize(
    ("quality", "talked", "audio", "words"),
    [
        (Quality(DEVICE, PBX), 10.0, Audio.GOOD, "Both sides were heard."),
        (Quality(DEVICE, SILENT_PBX), 10.0, Audio.ONE_WAY, "One-way audio: the PBX sent nothing."),
        (Quality(SILENT_DEVICE, PBX), 10.0, Audio.ONE_WAY, "One-way audio: the device sent nothing."),
        (
            Quality(SILENT_DEVICE, SILENT_PBX),
            10.0,
            Audio.MISSING,
            "No audio: neither the device nor the PBX sent anything.",
        ),
        (
            Quality(DEVICE, SILENT_PBX),
            0.4,
            Audio.UNKNOWN,
            "The call was too short to tell how its audio was.",
        ),
        (
            Quality(replace(SILENT_DEVICE, obstacle=Obstacle.ICE), PBX),
            10.0,
            Audio.MISSING,
            "No audio: no way to the device was found (ICE).",
        ),
        (
            Quality(replace(SILENT_DEVICE, obstacle=Obstacle.DTLS), SILENT_PBX),
            10.0,
            Audio.MISSING,
            "No audio: no keys were agreed on with the device (DTLS).",
        ),
        (
            Quality(replace(SILENT_DEVICE, obstacle=Obstacle.ICE), PBX),
            0.4,
            Audio.UNKNOWN,
            "The call was too short to tell how its audio was.",
        ),
        (Quality(DEVICE, PBX), 0.4, Audio.GOOD, "Both sides were heard."),
        (
            Quality(replace(DEVICE, heard=replace(FINE, mos=2.9, loss=8.0)), PBX),
            10.0,
            Audio.POOR,
            "Poor audio: the device heard a MOS of 2.9 with 8.0 % of the packets lost.",
        ),
        (
            Quality(DEVICE, replace(PBX, heard=replace(FINE, loss=3.0))),
            10.0,
            Audio.POOR,
            "Poor audio: the PBX heard a MOS of 4.3 with 3.0 % of the packets lost.",
        ),
        (
            Quality(DEVICE, replace(PBX, quiet=40.2)),
            60.0,
            Audio.ONE_WAY,
            "The audio stopped: the PBX sent nothing in the last 40 s.",
        ),
        (
            Quality(replace(DEVICE, quiet=12.0), replace(PBX, quiet=40.2)),
            60.0,
            Audio.MISSING,
            "The audio stopped: the device sent nothing in the last 12 s and the PBX sent nothing in the last 40 s.",
        ),
    ],
)
def test_the_side_at_fault_is_named(quality: Quality, talked: float, audio: Audio, words: str) -> None:
    verdict = judge(quality, talked)
    assert (verdict.audio, verdict.words) == (audio, words)


def test_a_side_on_hold_may_be_quiet() -> None:
    held = Quality(DEVICE, replace(PBX, quiet=40.0, sends=False))
    assert judge(held, 60.0).audio is Audio.GOOD
