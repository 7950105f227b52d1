"""The words for each step of a call's journal, and who does it to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from control.domain.journal import OUT, Step


class Part(StrEnum):
    """Who takes part in a call."""

    PBX = "pbx"
    NIGHTBELL = "nightbell"
    PROVIDER = "provider"
    DEVICE = "device"


class Mood(StrEnum):
    """How a step is to be taken."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Phrase:
    """One step in words. ``source`` acts on ``target``; the same twice: it concerns that one alone."""

    words: str
    source: Part
    target: Part
    detail: str = ""
    mood: Mood = Mood.PLAIN


_COMPANY = {"apns": "Apple", "fcm": "Google", "webpush": "The browser's push service"}
_SERVICE = {"apns": "APNs", "fcm": "FCM", "webpush": "Web Push"}


def phrase(step: Step, direction: str) -> Phrase:
    """The words for a step of a call; a step of a vocabulary newer than this is shown by its own name."""
    tell = _PHRASES.get(step.step)
    if tell is None:
        return Phrase(step.step, Part.NIGHTBELL, Part.NIGHTBELL, _reply(step))
    return tell(step, direction == OUT)


def _invite_in(step: Step, out: bool) -> Phrase:
    if step.reason:  # a call that Nightbell itself places
        return Phrase(step.reason, Part.NIGHTBELL, Part.NIGHTBELL, "INVITE in")
    if out:
        return Phrase("The device placed a call", Part.DEVICE, Part.NIGHTBELL, "INVITE in")
    return Phrase("The PBX rang", Part.PBX, Part.NIGHTBELL, "INVITE in")


def _invite_out(step: Step, out: bool) -> Phrase:
    if out:
        return Phrase("The call went to the PBX", Part.NIGHTBELL, Part.PBX, "INVITE out")
    return Phrase("The call went to the phone", Part.NIGHTBELL, Part.DEVICE, "INVITE out")


def _challenged(step: Step, out: bool) -> Phrase:
    return Phrase("The PBX asked who is calling", Part.PBX, Part.NIGHTBELL, _reply(step) or "challenge")


def _ringing(step: Step, out: bool) -> Phrase:
    if out:
        return Phrase("It rings at the other end", Part.PBX, Part.DEVICE, _reply(step) or "180")
    if not step.device:
        return Phrase("The PBX was told that it rings", Part.NIGHTBELL, Part.PBX, _reply(step) or "180")
    return Phrase("The phone rings", Part.DEVICE, Part.PBX, _reply(step) or "180", Mood.GOOD)


def _device_refused(step: Step, out: bool) -> Phrase:
    words = {
        408: "The phone did not reply",
        486: "The phone is busy",
        487: "The phone stopped ringing",
        600: "The phone is busy",
        603: "The phone declined",
    }.get(step.code, "The phone did not take the call")
    mood = Mood.PLAIN if step.code == 487 else Mood.BAD
    return Phrase(words, Part.DEVICE, Part.NIGHTBELL, _reply(step), mood)


def _answered(step: Step, out: bool) -> Phrase:
    source, target = (Part.PBX, Part.DEVICE) if out else (Part.DEVICE, Part.PBX)
    return Phrase("Answered", source, target, _reply(step) or "200", Mood.GOOD)


def _cancelled(step: Step, out: bool) -> Phrase:
    source = Part.DEVICE if out else Part.PBX
    return Phrase("The caller gave up", source, Part.NIGHTBELL, step.reason or "CANCEL", Mood.BAD)


def _failed(step: Step, out: bool) -> Phrase:
    target = Part.DEVICE if out else Part.PBX
    return Phrase("The call ended unanswered", Part.NIGHTBELL, target, _reply(step), Mood.BAD)


def _bye(step: Step, out: bool) -> Phrase:
    if step.reason:
        return Phrase("Nightbell hung up", Part.NIGHTBELL, Part.NIGHTBELL, step.reason, Mood.BAD)
    return Phrase("The other end hung up" if out else "The caller hung up", Part.PBX, Part.DEVICE, "BYE")


def _device_bye(step: Step, out: bool) -> Phrase:
    # Of a call that went on to its fallback, that is who hangs up: no phone, perhaps.
    return Phrase("The phone hung up" if out else "The called side hung up", Part.DEVICE, Part.PBX, "BYE")


def _message_in(step: Step, out: bool) -> Phrase:
    if out:
        return Phrase("The device sent a message", Part.DEVICE, Part.NIGHTBELL, "MESSAGE in")
    return Phrase("The PBX sent a message", Part.PBX, Part.NIGHTBELL, "MESSAGE in")


def _message_out(step: Step, out: bool) -> Phrase:
    if out:
        return Phrase("The message went to the PBX", Part.NIGHTBELL, Part.PBX, "MESSAGE out")
    return Phrase("The message went to the device", Part.NIGHTBELL, Part.DEVICE, "MESSAGE out")


def _delivered(step: Step, out: bool) -> Phrase:
    if out:
        return Phrase("The PBX has the message", Part.PBX, Part.DEVICE, _reply(step) or "200", Mood.GOOD)
    return Phrase("The device has the message", Part.DEVICE, Part.PBX, _reply(step) or "200", Mood.GOOD)


def _request_held(step: Step, out: bool) -> Phrase:
    what = {"BYE": "The other side hung up", "INVITE": "The other side wants to change the call"}.get(
        step.reason
    )
    words = f"{what or 'The other side sent something'} while the phone slept"
    return Phrase(words, Part.PBX, Part.NIGHTBELL, f"{step.reason} in".strip())


def _request_out(step: Step, out: bool) -> Phrase:
    return Phrase("The phone was told", Part.NIGHTBELL, Part.DEVICE, f"{step.reason} out".strip())


def _request_answered(step: Step, out: bool) -> Phrase:
    if step.code == 408:
        return Phrase("The phone did not reply", Part.DEVICE, Part.NIGHTBELL, _reply(step), Mood.BAD)
    mood = Mood.GOOD if step.code < 300 else Mood.PLAIN
    return Phrase("The phone replied", Part.DEVICE, Part.PBX, _reply(step), mood)


def _request_failed(step: Step, out: bool) -> Phrase:
    return Phrase("The phone was not told", Part.NIGHTBELL, Part.PBX, _reply(step), Mood.BAD)


def _push_sent(step: Step, out: bool) -> Phrase:
    service = _SERVICE.get(step.provider, step.provider or "the provider")
    detail = f"push for {step.device}" if step.device else "push"
    return Phrase(f"Push sent to {service}", Part.NIGHTBELL, Part.PROVIDER, detail)


def _push_withheld(step: Step, out: bool) -> Phrase:
    return Phrase("No push was sent", Part.NIGHTBELL, Part.NIGHTBELL, step.reason)


def _push_accepted(step: Step, out: bool) -> Phrase:
    company = _COMPANY.get(step.provider, "The provider")
    return Phrase(f"{company} accepted it", Part.PROVIDER, Part.NIGHTBELL, _reply(step), Mood.GOOD)


def _push_refused(step: Step, out: bool) -> Phrase:
    company = _COMPANY.get(step.provider, "The provider")
    # Without a status there was no answer at all.
    words = f"{company} refused it" if step.code else f"{company} did not take it"
    return Phrase(words, Part.PROVIDER, Part.NIGHTBELL, _reply(step), Mood.BAD)


def _clear_sent(step: Step, out: bool) -> Phrase:
    words = f"{_SERVICE.get(step.provider, 'The provider')} was told that the call is over"
    return Phrase(words, Part.NIGHTBELL, Part.PROVIDER, _reply(step))


def _register(step: Step, out: bool) -> Phrase:
    return Phrase("The phone woke and registered", Part.DEVICE, Part.NIGHTBELL, "REGISTER", Mood.GOOD)


def _fallback(step: Step, out: bool) -> Phrase:
    return Phrase("The call went on to its fallback", Part.NIGHTBELL, Part.NIGHTBELL, step.reason)


def _wake_deadline(step: Step, out: bool) -> Phrase:
    return Phrase("Nobody woke in time", Part.NIGHTBELL, Part.NIGHTBELL, step.reason or "deadline", Mood.BAD)


def _gave_up(step: Step, out: bool) -> Phrase:
    words = "There was nobody left to wait for"
    return Phrase(words, Part.NIGHTBELL, Part.NIGHTBELL, step.reason or "gave up", Mood.BAD)


def _wake_cancelled(step: Step, out: bool) -> Phrase:
    return Phrase("Waiting was over", Part.NIGHTBELL, Part.NIGHTBELL, step.reason or "wake ended")


def _reply(step: Step) -> str:
    return " ".join(part for part in (str(step.code) if step.code else "", step.reason) if part)


_PHRASES: dict[str, Callable[[Step, bool], Phrase]] = {
    "invite-in": _invite_in,
    "invite-out": _invite_out,
    "challenged": _challenged,
    "ringing": _ringing,
    "device-refused": _device_refused,
    "answered": _answered,
    "cancelled": _cancelled,
    "failed": _failed,
    "bye": _bye,
    "device-bye": _device_bye,
    "message-in": _message_in,
    "message-out": _message_out,
    "delivered": _delivered,
    "request-held": _request_held,
    "request-out": _request_out,
    "request-answered": _request_answered,
    "request-failed": _request_failed,
    "fallback": _fallback,
    "push-sent": _push_sent,
    "push-withheld": _push_withheld,
    "push-accepted": _push_accepted,
    "push-refused": _push_refused,
    "clear-sent": _clear_sent,
    "register": _register,
    "wake-deadline": _wake_deadline,
    "gave-up": _gave_up,
    "wake-cancelled": _wake_cancelled,
}
