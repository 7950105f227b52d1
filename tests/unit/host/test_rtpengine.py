"""An rtpengine with a known hole is not trusted with WebRTC."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from control.host import rtpengine
from control.settings import RtpengineSettings


@pytest.mark.parametrize(
    ("version", "vulnerable"),
    [
        ("10.5.3.5-1", True),  # Debian 12's own
        ("12.5.1.31-1", False),  # Debian 13's
        ("12.1.1.1", True),
        ("12.1.1.2", False),
        ("11.5.1.15", True),
        ("11.5.1.16", False),
        ("13.0", False),
        ("11.4.9.9", True),
        ("unknown", True),
        ("", True),
    ],
)
def test_which_versions_are_open_to_the_advisory(version: str, vulnerable: bool) -> None:
    assert rtpengine.is_vulnerable(version) is vulnerable


@pytest.mark.parametrize(
    ("said", "accept", "here", "takes"),
    [
        ("10.5.3.5-1", False, True, False),
        ("10.5.3.5-1", True, True, True),
        ("10.5.3.5-1", False, False, True),
        ("12.5.1.31-1", False, True, True),
    ],
)
def test_it_is_the_program_itself_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, accept: bool, here: bool, takes: bool
) -> None:
    program = tmp_path / "rtpengine"
    program.write_text(f"#!/bin/sh\necho Version: {said}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(rtpengine, "_TREE", tmp_path / "none")
    relay = RtpengineSettings(here=here, accept_vulnerable=accept)
    assert rtpengine.takes_webrtc([relay]) is takes
