"""What is read out of rtpengine's answers; the fixtures are answers of rtpengine 12.5 to `query`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control.domain.quality import Audio, Heard, Leg, Side, judge
from control.edge import media_figures

FIXTURES = Path(__file__).parents[2] / "fixtures" / "rtpengine"


def answer(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / f"query_{name}.json").read_text(encoding="utf-8"))
    return found


def test_both_sides_with_their_reports() -> None:
    given = answer("both_ways")
    quality = media_figures.read(given, "ft", "tt", given["created"] + 5.0)
    assert quality is not None
    assert quality.device.heard == Heard(4.3, 4.3, 0.0, 2.0, 40.0, (4.3, 4.3))
    assert quality.pbx.heard is not None
    assert (quality.pbx.heard.loss, quality.pbx.heard.jitter, quality.pbx.heard.course) == (5.0, 10.0, (3.9,))
    assert (quality.device.packets, quality.device.codec, quality.device.sends) == (100, "PCMA/8000", True)
    assert judge(quality, 2.0).words == (
        "Poor audio: the PBX heard a MOS of 3.9 with 5.0 % of the packets lost."
    )


def test_the_sides_are_told_apart_by_their_tags() -> None:
    given = answer("one_way")
    at = float(given["created"] + 3)
    for device, pbx, words in (
        ("ft", "tt", "One-way audio: the PBX sent nothing."),
        ("tt", "ft", "One-way audio: the device sent nothing."),
    ):
        quality = media_figures.read(given, device, pbx, at)
        assert quality is not None
        assert judge(quality, 2.0).words == words
        assert Leg(Side.PBX if pbx == "tt" else Side.DEVICE, 0) in quality.legs


def test_how_long_a_side_was_quiet_at_the_end() -> None:
    given = answer("one_way")
    last = given["tags"]["ft"]["medias"][0]["streams"][0]["last packet"]
    quality = media_figures.read(given, "ft", "tt", last + 42.0)
    assert quality is not None
    assert (quality.device.quiet, quality.pbx.quiet) == (42.0, 0.0)


def test_a_side_that_holds_does_not_send() -> None:
    given = answer("both_ways")
    given["tags"]["tt"]["medias"][0]["flags"].remove("recv")
    quality = media_figures.read(given, "ft", "tt", given["created"] + 60.0)
    assert quality is not None
    assert (quality.device.sends, quality.pbx.sends) == (True, False)


def test_an_older_rtpengine_counts_packets_by_stream_alone() -> None:
    given = answer("both_ways")
    for tag in given["tags"].values():
        for stream in tag["medias"][0]["streams"]:
            del stream["ingress SSRCs"]
    quality = media_figures.read(given, "ft", "tt", given["created"] + 5.0)
    assert quality is not None
    assert (quality.device.packets, quality.pbx.packets, quality.device.heard) == (100, 100, None)


@pytest.mark.parametrize("given", [{}, {"tags": {}}, {"tags": {"ft": {}}}])
def test_a_call_without_these_sides_has_no_figures(given: dict[str, Any]) -> None:
    assert media_figures.read(given, "ft", "tt", 0.0) is None


def test_audio_that_came_is_good_whatever_the_codec() -> None:
    given = answer("both_ways")
    given["SSRC"] = {}
    quality = media_figures.read(given, "ft", "tt", given["created"] + 3.0)
    assert quality is not None
    assert judge(quality, 2.0).audio is Audio.GOOD
