"""Where each event from Kamailio goes: to the waker, to the memory of tokens, to the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import structlog

from control.domain.journal import Step
from control.domain.push import PushToken
from control.edge.recorder import Entry, TokensBrought, UpstreamSeen
from control.edge.reminders import Reminders
from control.edge.tokens import TokenBook
from control.edge.waker import Waker
from kemi.wire import (
    CallEvent,
    CounterEvent,
    Event,
    HelloEvent,
    KeyPressEvent,
    MediaEndEvent,
    RefreshEvent,
    RegisterEvent,
    UpstreamEvent,
    VoicemailEvent,
    WakeEndEvent,
    WakeEvent,
)

log = structlog.get_logger(__name__)


class Intake:
    """Sorts events.

    ``media_ended`` is told of each call whose media is over, ``key_pressed`` of each key to be sent on, ``voicemail`` of what is
    new of a mailbox;
    ``hello`` is called when Kamailio has started. ``counters`` sums up what Kamailio counted.
    """

    def __init__(
        self,
        *,
        waker: Waker,
        tokens: TokenBook,
        remember: Callable[[Entry], None],
        reminders: Reminders,
        media_ended: Callable[[MediaEndEvent], None],
        key_pressed: Callable[[KeyPressEvent], None],
        call_step: Callable[[CallEvent], None],
        voicemail: Callable[[VoicemailEvent], None],
        hello: Callable[[], None],
    ) -> None:
        self._waker = waker
        self._tokens = tokens
        self._remember = remember
        self._reminders = reminders
        self._media_ended = media_ended
        self._key_pressed = key_pressed
        self._call_step = call_step
        self._voicemail = voicemail
        self._hello = hello
        self.counters: Counter[str] = Counter()

    def handle(self, event: Event) -> None:
        """Take one event; the wake first, as a call waits for it."""
        match event:
            case WakeEvent():
                self._waker.wake(event)
            case WakeEndEvent():
                self._waker.wake_end(event)
            case CallEvent():
                self._waker.call(event)
                self._call_step(event)
                self._remember(_step(event))
            case MediaEndEvent():
                self._media_ended(event)
            case KeyPressEvent():
                self._key_pressed(event)
            case VoicemailEvent():
                self._voicemail(event)
                self._remember(event)
            case RegisterEvent():
                self._register(event)
            case UpstreamEvent():
                self._upstream(event)
            case RefreshEvent():
                self._remember(event)
            case CounterEvent():
                self.counters[event.name] += event.value
                log.info("edge-counted", name=event.name, value=event.value, detail=event.detail[:200])
            case HelloEvent():
                log.info("kamailio-started", pid=event.pid)
                self._hello()

    def _register(self, event: RegisterEvent) -> None:
        self._waker.register(event)
        self._reminders.register(event)
        if event.action in ("added", "refreshed"):
            brought = tuple(
                PushToken(t.provider, t.app, t.environment, t.token, t.kind) for t in event.each_token()
            )
            if brought:
                change = self._tokens.put(event.device, brought, event.ts)
                if change:
                    self._remember(TokensBrought(event.device, brought, event.ts, change))
        self._remember(event)

    def _upstream(self, event: UpstreamEvent) -> None:
        # Once it is registered, its realm is known.
        self._remember(UpstreamSeen(event, learn=bool(event.realm) and event.state != "registered"))


def _step(event: CallEvent) -> Step:
    return Step(
        call=event.call,
        at=event.ts,
        step=event.step,
        device=event.device,
        connection=event.connection,
        aor=event.aor,
        direction=event.direction,
        caller=event.caller,
        callee=event.callee,
        sip_call_id=event.sip_call_id,
        code=event.code,
        reason=event.reason,
    )
