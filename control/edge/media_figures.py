"""What rtpengine says of a call, as figures of its two sides: reads the answer to ``query`` (ng protocol). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from control.domain.quality import Heard, Leg, Obstacle, Quality, Side

_US_IN_MS = 1000.0
_BEGUN = 10  # packets of audio: that is 200 ms
_LATELY_S = 3.0  # rtpengine tells whole seconds


def read(answer: Mapping[str, Any], device_tag: str, pbx_tag: str, ended_at: float) -> Quality | None:
    """The figures of a call that ended at a UNIX time; None if rtpengine does not know both tags of it.

    Raises ValueError, TypeError, KeyError or AttributeError for an answer that is not of the documented shape.
    """
    tags = answer.get("tags", {})
    if device_tag not in tags or pbx_tag not in tags:
        return None
    reports = answer.get("SSRC", {})
    return Quality(
        device=_leg(Side.DEVICE, tags[device_tag], reports, ended_at),
        pbx=_leg(Side.PBX, tags[pbx_tag], reports, ended_at),
    )


def sends(answer: Mapping[str, Any], tag: str, at: float) -> bool:
    """Whether audio of the side with that tag has come in the seconds before a UNIX time; not, if it cannot be read."""
    try:
        streams = _streams(_audio(answer["tags"][tag]))
        return any(_heard_of(each) > _BEGUN and at - int(each["last packet"]) < _LATELY_S for each in streams)
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def _heard_of(stream: Mapping[str, Any]) -> int:
    """The packets of audio: what else comes, for ICE and DTLS, belongs to no source."""
    return sum(int(source["packets"]) for source in stream["ingress SSRCs"])


@dataclass(frozen=True)
class Talk:
    """A call under way: how many packets of audio it has had from both sides, and whether one of them is on hold.

    ``obstacle`` is of the side, if there is one, that no audio has reached or can reach.
    """

    caller: str  # the tags of the two sides
    callee: str
    packets: int
    held: bool
    obstacle: Obstacle = Obstacle.NONE


def talk(answer: Mapping[str, Any]) -> Talk | None:
    """How a call stands that has been answered; None for any other, and for an answer that cannot be read."""
    try:
        tags = answer["tags"]
        for tag, side in tags.items():
            others = [each["tag"] for each in side["subscriptions"] if each["tag"] in tags]
            if others:
                # The side that an offer went to, in a branch, has that branch's name.
                caller, callee = (others[0], tag) if side.get("via-branch") else (tag, others[0])
                return _talk(caller, callee, [*_audio(tags[caller]), *_audio(tags[callee])])
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


def _talk(caller: str, callee: str, medias: list[Mapping[str, Any]]) -> Talk:
    packets = sum(_packets(stream) for stream in _streams(medias))
    held = any(not {"send", "recv"} <= set(media["flags"]) for media in medias)
    return Talk(caller, callee, packets, held, _obstacle(medias))


def _obstacle(medias: Iterable[Mapping[str, Any]]) -> Obstacle:
    """What keeps audio from a side by WebRTC that has never been heard.

    The last thing that comes about is that the fingerprint is verified (a fact of rtpengine's own). Before ICE has found a way
    rtpengine sends nothing that it counts; after it, DTLS.
    """
    for media in medias:
        streams = list(_streams([media]))
        came_about = any("DTLS fingerprint verified" in s["flags"] or _packets(s) for s in streams)
        if "DTLS-SRTP" in media["flags"] and streams and not came_about:
            sent = sum(int(stream["stats_out"]["packets"]) for stream in streams if "stats_out" in stream)
            return Obstacle.DTLS if sent else Obstacle.ICE
    return Obstacle.NONE


def _audio(tag: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [media for media in tag["medias"] if media.get("type") == "audio"]


def _leg(side: Side, tag: Mapping[str, Any], reports: Mapping[str, Any], ended_at: float) -> Leg:
    medias = _audio(tag)
    streams = list(_streams(medias))
    packets = sum(_packets(stream) for stream in streams)
    last = max((int(stream["last packet"]) for stream in streams), default=0)
    return Leg(
        side=side,
        packets=packets,
        codec=next((str(media["codec"]) for media in medias if media.get("codec")), "") if packets else "",
        quiet=max(0.0, round(ended_at - last, 1)) if packets else 0.0,
        sends=any("recv" in media.get("flags", ()) for media in medias),
        heard=_heard(reports, streams),
        obstacle=_obstacle(medias),
    )


def _streams(medias: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for media in medias:
        yield from (stream for stream in media["streams"] if "RTP" in stream["flags"])


def _packets(stream: Mapping[str, Any]) -> int:
    # Where RTP and RTCP share a port (RFC 5761) the stream's own count has both.
    sources = stream.get("ingress SSRCs")
    if sources is None:
        return int(stream["stats"]["packets"])
    return sum(int(source["packets"]) for source in sources)


def _heard(reports: Mapping[str, Any], streams: Iterable[Mapping[str, Any]]) -> Heard | None:
    """Reports stand under the source that made them: the side that heard. The one that made the most counts."""
    own = [
        reports[str(source["SSRC"])]
        for stream in streams
        for source in stream.get("ingress SSRCs", ())
        if "average MOS" in reports.get(str(source["SSRC"]), {})
    ]
    if not own:
        return None
    report = max(own, key=lambda each: int(each["average MOS"]["samples"]))
    average = report["average MOS"]
    return Heard(
        mos=average["MOS"] / 10,
        mos_lowest=report["lowest MOS"]["MOS"] / 10,
        loss=float(average["packet loss"]),
        jitter=float(average["jitter"]),
        round_trip=round(average["round-trip time"] / _US_IN_MS, 1),
        # A report without a round trip has no score.
        course=tuple(e["MOS"] / 10 for e in report["MOS progression"]["entries"] if e["MOS"]),
    )
