"""The audio of a call as the media relay saw it: who sent, what each side says it heard, and both in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Below these a call is felt to be bad: "some users dissatisfied" begins at a MOS of 3.6 (ITU-T G.107, annex B).
_POOR_MOS = 3.6
_POOR_LOSS = 3.0  # %
_TOO_SHORT = 1.0  # s of talking; before, silence says nothing
_STOPPED = 10.0  # s without a packet from a side that is not on hold


class Side(StrEnum):
    """The two ends of a call."""

    DEVICE = "device"
    PBX = "pbx"

    @property
    def words(self) -> str:
        """The side within a sentence."""
        return "the device" if self is Side.DEVICE else "the PBX"


class Obstacle(StrEnum):
    """What keeps all audio from a side that speaks WebRTC, in both directions."""

    NONE = ""
    ICE = "ice"  # RFC 8445
    DTLS = "dtls"  # RFC 5763

    def words(self, side: Side) -> str:
        """What it is, within a sentence."""
        if self is Obstacle.ICE:
            return f"no way to {side.words} was found (ICE)"
        return f"no keys were agreed on with {side.words} (DTLS)"


class Audio(StrEnum):
    """How the audio of a call was."""

    GOOD = "good"
    POOR = "poor"
    ONE_WAY = "one-way"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Heard:
    """What one side said of the audio that reached it (RTCP reports, RFC 3550, 6.4.1).

    ``mos`` is the mean opinion score, 1.0 to 4.5: of the whole call, at its worst, and its course from report to report.
    ``loss`` in percent, ``jitter`` in ms, ``round_trip`` in ms to the other side and back.
    """

    mos: float
    mos_lowest: float
    loss: float
    jitter: float
    round_trip: float
    course: tuple[float, ...] = ()


@dataclass(frozen=True)
class Leg:
    """One side. ``packets`` of audio came from it, the last one ``quiet`` seconds before the end.

    ``sends``: at the end it was not on hold. ``codec`` is empty when nothing came; ``heard`` None when it made no reports.
    ``obstacle``: why nothing came, nor went there.
    """

    side: Side
    packets: int
    codec: str = ""
    quiet: float = 0.0
    sends: bool = True
    heard: Heard | None = None
    obstacle: Obstacle = Obstacle.NONE


@dataclass(frozen=True)
class Quality:
    """Both sides of one call."""

    device: Leg
    pbx: Leg

    @property
    def legs(self) -> tuple[Leg, Leg]:
        """The device's, then the PBX's."""
        return self.device, self.pbx


@dataclass(frozen=True)
class Verdict:
    """How it was, and a sentence that names the side at fault."""

    audio: Audio
    words: str


def judge(quality: Quality, talked: float) -> Verdict:
    """What the figures mean; ``talked`` is how long the call was answered, in seconds."""
    silent = [leg.side.words for leg in quality.legs if not leg.packets]
    if silent and talked < _TOO_SHORT:
        return Verdict(Audio.UNKNOWN, "The call was too short to tell how its audio was.")
    obstacles = [leg.obstacle.words(leg.side) for leg in quality.legs if leg.obstacle]
    if obstacles:
        return Verdict(Audio.MISSING, f"No audio: {' and '.join(obstacles)}.")
    if len(silent) == 2:
        return Verdict(Audio.MISSING, "No audio: neither the device nor the PBX sent anything.")
    if silent:
        return Verdict(Audio.ONE_WAY, f"One-way audio: {silent[0]} sent nothing.")
    poor = [_complaint(leg, leg.heard) for leg in quality.legs if leg.heard and _is_poor(leg.heard)]
    if poor:
        return Verdict(Audio.POOR, f"Poor audio: {' and '.join(poor)}.")
    stopped = [leg for leg in quality.legs if leg.sends and leg.quiet >= _STOPPED]
    if stopped:
        ends = " and ".join(f"{leg.side.words} sent nothing in the last {leg.quiet:.0f} s" for leg in stopped)
        return Verdict(Audio.ONE_WAY if len(stopped) == 1 else Audio.MISSING, f"The audio stopped: {ends}.")
    return Verdict(Audio.GOOD, "Both sides were heard.")


def _is_poor(heard: Heard) -> bool:
    return heard.mos < _POOR_MOS or heard.loss >= _POOR_LOSS


def _complaint(leg: Leg, heard: Heard) -> str:
    return f"{leg.side.words} heard a MOS of {heard.mos:.1f} with {heard.loss:.1f} % of the packets lost"
