"""A call told as a story: who did what to whom, in plain English, with the milliseconds between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from control.domain.journal import HANG_UPS, IN, MESSAGE, OUT, CallHead, Step
from control.domain.phrases import Mood, Part, phrase
from control.domain.quality import Audio, Quality, Verdict, judge


@dataclass(frozen=True)
class Actor:
    """A lane of the picture: a part in the story, and for devices and providers which one."""

    part: Part
    name: str = ""

    @property
    def title(self) -> str:
        """What the lane is called."""
        if self.part is Part.PROVIDER:
            known = {"apns": "Apple (APNs)", "fcm": "Google (FCM)", "webpush": "Web Push"}
            return known.get(self.name, self.name or "Push provider")
        if self.part is Part.DEVICE:
            return self.name or "Device"
        return {Part.PBX: "PBX", Part.NIGHTBELL: "Nightbell"}[self.part]


@dataclass(frozen=True)
class Beat:
    """One step of the story. ``offset_ms`` is since the call began, ``gap_ms`` since the step before."""

    number: int
    at: float
    offset_ms: float
    gap_ms: float
    source: Actor
    target: Actor
    words: str
    detail: str
    mood: Mood
    step: Step


@dataclass(frozen=True)
class Span:
    """A time that is worth seeing: the call was held, the device rang, they talked."""

    kind: str  # "held", "ringing" or "talking"
    actor: Actor
    begin: int  # numbers of the beats where it begins and ends
    end: int
    milliseconds: float


@dataclass(frozen=True)
class Story:
    """A call, its lanes from top to bottom, its steps, and its spans."""

    head: CallHead
    actors: tuple[Actor, ...]
    beats: tuple[Beat, ...]
    spans: tuple[Span, ...]
    quality: Quality | None = None  # of its audio, where that went through us and was measured

    @property
    def summary(self) -> str:
        """The end of the story in one sentence, and in a second one what was wrong with its audio."""
        verdict = self.verdict
        if verdict is None or verdict.audio in (Audio.GOOD, Audio.UNKNOWN):
            return summary(self.head)
        return f"{summary(self.head)} {verdict.words}"

    @property
    def verdict(self) -> Verdict | None:
        """How the audio of an answered call was."""
        if self.quality is None or not self.head.answered_at:
            return None
        return judge(self.quality, max(0.0, self.head.ended_at - self.head.answered_at))


def summary(head: CallHead) -> str:
    """What became of a call or a message, in one sentence."""
    if head.outcome == "delivered":
        return f"Message delivered after {duration((head.ended_at - head.started_at) * 1000)}."
    if head.outcome == "answered":
        if not head.ended_at:
            return "Answered; they are talking."
        return f"Answered; they talked for {duration((head.ended_at - head.answered_at) * 1000)}."
    if head.outcome == "cancelled":
        return "The caller gave up before anybody answered."
    if head.outcome == "failed":
        known = {
            408: "the other side did not reply",
            480: head.reason[:1].lower() + head.reason[1:] or "nobody could be reached in time",
            486: "busy",
            487: "it was cancelled",
            603: "declined",
        }
        why = known.get(head.code, head.reason) or "refused"
        what = "Message not delivered" if head.kind == MESSAGE else "Not answered"
        return f"{what}: {why} ({head.code})." if head.code else f"{what}: {why}."
    return "A message, under way." if head.kind == MESSAGE else "Under way."


def title(head: CallHead) -> str:
    """Who called whom."""
    person = head.aor.removeprefix("sip:").partition("@")[0]
    caller, callee = (
        (head.caller or person, head.callee)
        if head.direction == OUT
        else (head.caller, head.callee or person)
    )
    return f"{caller or 'unknown'} → {callee or 'unknown'}"


def tell(head: CallHead, steps: Iterable[Step], quality: Quality | None = None) -> Story:
    """The story of a call from its journal, whatever is missing in it."""
    ordered = sorted(steps, key=lambda step: step.at)
    direction = head.direction or IN
    implied = _implied(ordered, direction)
    beats: list[Beat] = []
    for number, step in enumerate(ordered, 1):
        said = phrase(step, direction)
        previous = ordered[number - 2].at if number > 1 else step.at
        beats.append(
            Beat(
                number=number,
                at=step.at,
                offset_ms=(step.at - ordered[0].at) * 1000,
                gap_ms=(step.at - previous) * 1000,
                source=_actor(said.source, step, implied),
                target=_actor(said.target, step, implied),
                words=said.words,
                detail=said.detail,
                mood=said.mood,
                step=step,
            )
        )
    return Story(head, _lanes(direction, beats), tuple(beats), tuple(_spans(beats)), quality)


def _implied(steps: list[Step], direction: str) -> str:
    """Whose a step is that does not name its device: of who answered, of the only one there is, or of the one that calls."""
    answered = next((step.device for step in steps if step.step == "answered"), "")
    if answered:
        return answered
    if any(step.step == "fallback" for step in steps):
        return "Fallback"
    devices = list(dict.fromkeys(step.device for step in steps if step.device))
    return devices[0] if len(devices) == 1 or (devices and direction == OUT) else ""


def _actor(part: Part, step: Step, implied: str) -> Actor:
    if part is Part.PROVIDER:
        return Actor(part, step.provider)
    if part is Part.DEVICE:
        return Actor(part, step.device or implied)
    return Actor(part)


def _lanes(direction: str, beats: list[Beat]) -> tuple[Actor, ...]:
    seen = dict.fromkeys(actor for beat in beats for actor in (beat.source, beat.target))
    order = [Part.PBX, Part.NIGHTBELL, Part.PROVIDER, Part.DEVICE]
    if direction == OUT:
        order = [Part.DEVICE, Part.NIGHTBELL, Part.PROVIDER, Part.PBX]
    return tuple(actor for part in order for actor in seen if actor.part is part)


def _spans(beats: list[Beat]) -> Iterable[Span]:
    first: dict[str, Beat] = {}
    for beat in beats:
        first.setdefault(beat.step.step, beat)
    opening = beats[0] if beats else None
    pushed, out, answered = first.get("push-sent"), first.get("invite-out"), first.get("answered")
    final = next((b for b in beats if b.step.step in ("delivered", "cancelled", "failed", *HANG_UPS)), None)
    request = first.get("request-held")
    if request is not None and pushed is not None and pushed.number > request.number:
        opening = request  # the call itself was held for nobody
    if opening is not None and pushed is not None:
        woken = next((b for b in beats if b.step.step == "register" and b.number > opening.number), None)
        ended = next((b for b in beats if b.step.step in ("wake-deadline", "gave-up")), None)
        until = woken or ended or final
        if until is not None and until.number > opening.number:
            yield _span("held", Actor(Part.NIGHTBELL), opening, until)
    rings = [b for b in beats if b.step.step == "ringing" and b.step.device]
    for ring in {b.step.device: b for b in reversed(rings)}.values():
        refused = (b for b in beats if b.step.step == "device-refused" and b.step.device == ring.step.device)
        over = next(refused, None) or answered or final
        if over is not None and over.number > ring.number:
            yield _span("ringing", ring.source, ring, over)
    if out is not None and answered is not None and final is not None and final.number > answered.number:
        yield _span("talking", answered.source, answered, final)


def _span(kind: str, actor: Actor, begin: Beat, end: Beat) -> Span:
    return Span(kind, actor, begin.number, end.number, (end.at - begin.at) * 1000)


def duration(milliseconds: float) -> str:
    """A time to be read by people: ``0.4 ms``, ``38 ms``, ``2.31 s``, ``3 min 05 s``."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 9_995:
        return f"{milliseconds / 1000:.2f} s"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    return f"{seconds // 60} min {seconds % 60:02d} s"
