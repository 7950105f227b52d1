"""Whether a call can reach a device, in words (U1): connected, asleep and wakeable, or not, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from control.domain.mailbox import Mailbox
from control.domain.push import Purpose, PushToken
from control.domain.push_tokens import serving
from control.domain.wakes import CALLED_OFF, REFUSED, SLEPT, DeviceWake, WaitPolicy, WakeTimes


class Reach(StrEnum):
    """How a device stands."""

    CONNECTED = "connected"
    ASLEEP = "asleep"
    UNREACHABLE = "unreachable"


# Why a device is unreachable.
NO_TOKEN = "no-token"  # noqa: S105
TOKEN_DEAD = "token-dead"  # noqa: S105
QUARANTINED = "quarantined"
NO_PROVIDER = "no-provider"
NEVER_CAME = "never-came"
NOT_TAKEN = "not-taken"
CAUSES = (NO_TOKEN, TOKEN_DEAD, QUARANTINED, NO_PROVIDER, NEVER_CAME, NOT_TAKEN)

_STATES = {
    Reach.CONNECTED: "Connected",
    Reach.ASLEEP: "Asleep, can be woken",
    Reach.UNREACHABLE: "Unreachable",
}


@dataclass(frozen=True)
class Reachability:
    """The state of one device; ``cause`` is one of CAUSES when it is unreachable, ``detail`` what the words need to know."""

    state: Reach
    cause: str = ""
    detail: str = ""

    @property
    def words(self) -> str:
        """The state, and why."""
        if not self.cause:
            return _STATES[self.state]
        return f"{_STATES[self.state]}: {_WHY[self.cause](self.detail)}"

    @property
    def callable(self) -> bool:
        """Whether there is a way to it at all, good or not: a binding, or a push token that its provider takes."""
        return self.cause in ("", NEVER_CAME, NOT_TAKEN)

    @property
    def advice(self) -> str:
        """What to do next; empty when nothing is wrong."""
        return _NEXT.get(self.cause, "")


_WHY: dict[str, Callable[[str], str]] = {
    NO_TOKEN: lambda detail: "it is not connected, and has given no push token",
    TOKEN_DEAD: lambda detail: f"{detail or 'the push provider'} says that its push token is dead",
    QUARANTINED: lambda detail: f"{detail or 'the push provider'} does not know its push token",
    NO_PROVIDER: lambda detail: f"its push token is for {detail}, which is not set up here",
    NEVER_CAME: lambda detail: f"its last {detail} pushes were accepted, and it came to none of them",
    NOT_TAKEN: lambda detail: f"its last pushes were not taken: {detail}",
}
_NEXT = {
    NO_TOKEN: "Open the app once, with notifications allowed; `nightbell register-log` shows what it brings.",
    TOKEN_DEAD: "Open the app once; if it was deleted from the phone, remove the device.",
    QUARANTINED: "Check that the app's build (development or store) and its pn-provider (apns.dev or apns) agree; "
    "then open the app once.",
    NO_PROVIDER: "Add its table [push.…] to nightbell.toml, or have the app use a provider that is there.",
    NEVER_CAME: "Check that the phone is on and online, that the app was not force-stopped, and that nothing saves "
    "battery at its cost; then `nightbell device wake DEVICE`.",
    NOT_TAKEN: "Look at `nightbell alarms` and at the journal of its last call; "
    "then `nightbell device wake DEVICE`.",
}


@dataclass(frozen=True)
class ReachTerms:
    """What of an installation decides how its devices stand: the push providers set up, how many wakes in a row a device may
    miss, and how long calls wait."""

    providers: Collection[str]
    patience: int
    waits: WaitPolicy


@dataclass(frozen=True)
class DeviceStanding:
    """One device as people want to see it. ``wait`` is how long a call is held for it, in seconds, the connection permitting."""

    device: str
    name: str
    user: str
    reach: Reachability
    tokens: Sequence[PushToken]
    wakes: Sequence[DeviceWake]
    times: WakeTimes | None
    wait: float
    mailboxes: Sequence[Mailbox] = ()  # of the connections that ring its person


def reachability(
    *,
    connected: bool,
    tokens: Sequence[PushToken],
    providers: Collection[str],
    newest_first: Sequence[DeviceWake],
    patience: int,
) -> Reachability:
    """How a device stands. ``providers`` are those set up here; ``patience`` is how many wakes it may miss in a row."""
    if connected:
        return Reachability(Reach.CONNECTED)
    last = newest_first[0] if newest_first else None
    if not tokens:
        if last is not None and last.outcome == REFUSED and "dead" in last.reason.lower():
            return _unreachable(TOKEN_DEAD, last.provider)
        return _unreachable(NO_TOKEN)
    usable = serving(tokens, Purpose.CALL)
    if not usable:
        asleep = [token.provider for token in tokens if token.quarantined_at is not None]
        return _unreachable(QUARANTINED, asleep[0]) if asleep else _unreachable(NO_TOKEN)
    if not any(token.provider in providers for token in usable):
        return _unreachable(NO_PROVIDER, usable[0].provider)
    # What was called off says nothing; what is newer than the last token counts alone.
    since = max(token.stored_at for token in usable)
    told = [w for w in newest_first if w.outcome not in ("", CALLED_OFF) and w.pushed_at >= since]
    recent = told[:patience]
    if len(recent) == patience and all(wake.outcome in (SLEPT, REFUSED) for wake in recent):
        if recent[0].outcome == REFUSED:
            return _unreachable(NOT_TAKEN, recent[0].reason)
        return _unreachable(NEVER_CAME, str(_in_a_row(told)))
    return Reachability(Reach.ASLEEP)


def _in_a_row(wakes: Iterable[DeviceWake]) -> int:
    count = 0
    for wake in wakes:
        if wake.outcome != SLEPT:
            break
        count += 1
    return count


def _unreachable(cause: str, detail: str = "") -> Reachability:
    return Reachability(Reach.UNREACHABLE, cause, detail)
