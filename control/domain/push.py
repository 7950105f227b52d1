"""The words of waking a device by push: the token, the notice it carries, and a provider's verdict."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

APNS = "apns"
FCM = "fcm"
WEBPUSH = "webpush"
LOG = "log"  # development

PRODUCTION = "production"
SANDBOX = "sandbox"

VOIP = "voip"  # wakes an app for a call
ALERT = "alert"  # shows something: a message, voicemail; never a call


class Purpose(StrEnum):
    """Why a push is sent. An iPhone may be sent a VoIP push for a ``CALL`` alone (Apple, PushKit)."""

    CALL = "call"  # a call waits for the device
    OVER = "over"  # the call of an earlier push is over: clear what was shown
    MESSAGE = "message"  # a text message waits for the device
    VOICEMAIL = "voicemail"  # the PBX tells of new voice messages
    REFRESH = "refresh"  # the binding is about to run out: register again (RFC 8599, 5.5)
    REQUEST = "request"  # a request within a dialog waits for the device (RFC 8599, 6)


class Outcome(StrEnum):
    """What a provider's answer means for the call that waits and for the token that was used."""

    DELIVERED = "delivered"  # the provider took the push; the device may wake
    TOKEN_DEAD = "token_dead"  # noqa: S105  the app is gone: forget the token
    RETRY = "retry"  # the provider is down, slow or busy: nothing is known about the token
    REJECTED = "rejected"  # this push or token was refused; the token is kept, as it may be good elsewhere
    MISCONFIGURED = "misconfigured"  # our key, topic or project is wrong: alarm; every push would fail


@dataclass(frozen=True, slots=True)
class PushToken:
    """Where one app install receives pushes.

    ``provider`` is one of the above, or the name of an operator's own pusher. ``app`` is the APNs topic
    (``org.example.phone.voip``), the FCM project or sender it was issued for, or the VAPID key a browser subscribed with;
    ``environment`` is ``production`` or ``sandbox`` (APNs alone knows the difference), ``corrected`` when the provider
    has shown that it is not the one that the app named. ``stored_at`` is when the device brought it last, in UNIX seconds;
    ``quarantined_at`` when the provider last said that it knows it nowhere: it is kept, and not used. The token is as good as
    an address of a person: it shows in no ``repr``.
    """

    provider: str
    app: str
    environment: str
    token: str = field(repr=False)
    kind: str = VOIP
    stored_at: float = field(default=0.0, compare=False)
    quarantined_at: float | None = None
    corrected: bool = False

    def is_same(self, other: PushToken) -> bool:
        """Whether it is the same token for the same use, whatever was learnt of it meanwhile."""
        mine = (self.provider, self.kind, self.app, self.token)
        return mine == (other.provider, other.kind, other.app, other.token)

    @property
    def digest(self) -> str:
        """Names the token among all devices without giving it away: SHA-256, in hex."""
        return hashlib.sha256(f"{self.provider} {self.token}".encode()).hexdigest()

    @property
    def clears(self) -> bool:
        """Whether a push may say that a call is over. Not to an iPhone: there a push means a new call, or nothing (W5)."""
        return self.provider != APNS

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that name the token in logs and pages without giving it away."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class PushNotice:
    """What a push says: opaque references of the call and of the wake, and when it stops to make sense.

    ``deadline`` is UNIX time in seconds; the provider is told to drop the push then. ``caller`` stays None
    unless the account's owner wants caller names to travel through the provider.
    """

    call: str
    wake: str
    deadline: float
    caller: str | None = None
    purpose: Purpose = Purpose.CALL


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one push.

    ``status`` is the HTTP status, 0 when there was no answer; ``reason`` the provider's own word
    (``Unregistered``) or ours in lower case (``timeout``, ``connect-failed``); ``provider_id`` the provider's
    name of the push. ``retry_after`` is in seconds from now; ``unregistered_at`` UNIX time in seconds: the
    token was known to be dead then, a registration after it revives it. ``environment`` is where the token was found
    when it was not in its own, ``quarantine`` says that it was found nowhere (P2). ``advice`` is what an administrator
    has to do about ``misconfigured``, as a sentence. ``server`` is who answered, where each token names a server of its own
    (Web Push): what it says of us holds for that server alone.
    """

    outcome: Outcome
    status: int = 0
    reason: str = ""
    provider_id: str = ""
    retry_after: float | None = None
    unregistered_at: float | None = None
    environment: str = ""
    quarantine: bool = False
    advice: str = ""
    server: str = ""


@dataclass(frozen=True, slots=True)
class PushTrouble:
    """All pushes of one kind fail by our own fault since ``at`` (UNIX seconds), as ``text`` says; empty: that is over.

    ``about`` is their app, or the server that they go to.
    """

    provider: str
    about: str
    at: float
    text: str = ""
