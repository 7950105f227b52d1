"""The people of the end-to-end stories and their phones, each set up by one call."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from control.domain.story import Story
from control.services import journal
from demo.phone import Call, IncomingCall, OutgoingCall, Phone, PushReceiver
from demo.sandbox import Push
from demo.stack import DemoDevice, Stack
from tests.fixtures.phones import Phones

ALICE, BOB, CAROL = "1001", "1002", "1003"  # their extensions at the PBX
CALLER_TONE, CALLEE_TONE = 440, 880  # Hz


@dataclass
class Handset:
    """A person's device: its identity at Nightbell, the phone that plays it, its ear for pushes (None: deaf to them)."""

    device: DemoDevice
    phone: Phone
    receiver: PushReceiver | None = None

    @property
    def id(self) -> str:
        """The device id, as the journal names it."""
        return self.device.id


class Scene:
    """Alice and Carol have desk phones at the PBX, Bob's extension is held by Nightbell for his devices."""

    def __init__(self, stack: Stack, phones: Phones, closing: AsyncExitStack) -> None:
        self.stack = stack
        self.connection = ""
        self._phones, self._closing = phones, closing

    # ------------------------------------------------------------------------------------- who is there

    async def caller(self, extension: str = ALICE) -> Phone:
        """A phone registered straight at the PBX."""
        stack = self.stack
        account = stack.pbx.accounts[extension]
        phone = self._phones(
            extension, account.password, stack.address, stack.pbx_address, display_name=account.name
        )
        registered = await phone.wake()
        assert registered.status == 200, f"the PBX refuses {extension}: {registered}"
        return phone

    async def extension(self, **options: Any) -> str:
        """Bob's extension, registered at the PBX by Nightbell; ``options`` as of ``Stack.add_connection``."""
        self.connection = await self.stack.add_connection(BOB, "bob", **options)
        await self.stack.wait_registered(self.connection)
        return self.connection

    async def awake(
        self,
        name: str,
        *,
        provider: str = "apns",
        transport: str = "udp",
        server: tuple[str, int] | None = None,
        push: bool = True,
        person: str = "bob",
        kind: type[Phone] = Phone,
    ) -> Handset:
        """A device of Bob's, registered at Nightbell, and ready to be woken later unless ``push`` is False.

        ``server`` is where it sends to, if not to Nightbell itself.
        """
        stack = self.stack
        device = await stack.add_device(name, person, provider, kind.media)
        phone = self._phones(
            device.id,
            device.password,
            stack.domain,
            server or stack.sip_address(transport),
            transport=transport,
            push=device.push if push else None,
            ca_file=stack.tls_ca,
            kind=kind,
        )
        registered = await phone.wake()
        assert registered.status == 200, f"Nightbell refuses {device.id}: {registered}"
        if push:
            await stack.wait_wakeable(device)
        return Handset(device, phone)

    async def asleep(
        self,
        name: str,
        *,
        provider: str = "apns",
        transport: str = "udp",
        wakes: bool = True,
        wake_after: float = 0.0,
        registers: int = 1,
        person: str = "bob",
        kind: type[Phone] = Phone,
    ) -> Handset:
        """A device of Bob's that Nightbell can wake; it has neither a binding nor a socket.

        A push wakes its phone after ``wake_after`` seconds, which then REGISTERs ``registers`` times; with
        ``wakes`` False nothing does.
        """
        handset = await self.awake(name, provider=provider, transport=transport, person=person, kind=kind)
        await self.put_to_sleep(handset)
        if wakes:
            await self.listen(handset, wake_after=wake_after, registers=registers)
        return handset

    async def put_to_sleep(self, handset: Handset) -> None:
        """Its app unregisters, with the push parameters left out so that they stay as they are, and is closed."""
        phone, push = handset.phone, handset.phone.push
        phone.push = None
        reply = await phone.unregister()
        assert reply.status == 200, f"Nightbell does not let {handset.id} go: {reply}"
        phone.push = push
        await phone.sleep()
        assert not self.stack.bindings(handset.id), f"{handset.id} is still registered"

    async def listen(self, handset: Handset, *, wake_after: float = 0.0, registers: int = 1) -> PushReceiver:
        """Let pushes wake the handset from now on."""
        receiver = PushReceiver(
            self.stack.sandbox.control_url,
            handset.device.token,
            handset.phone,
            wake_after=wake_after,
            registers=registers,
        )
        handset.receiver = await self._closing.enter_async_context(receiver)
        return receiver

    # -------------------------------------------------------------------------------------- what happened

    def pushes(self, handset: Handset) -> list[Push]:
        """What its push provider was sent for it."""
        return self.stack.sandbox.pushes(handset.device.token)

    async def pushed(self, handset: Handset, count: int = 1, within: float = 5.0) -> Push:
        """The ``count``-th push for it, once its provider has it."""
        what = f"push {count} for {handset.id}"
        pushes = await self.stack.eventually(
            lambda: found if len(found := self.pushes(handset)) >= count else None, what, within
        )
        push: Push = pushes[count - 1]
        return push

    async def story(self, *steps: str, number: int = 1, within: float = 5.0) -> Story:
        """The journal of the ``number``-th call to Bob's extension, once it holds all these steps."""

        def complete() -> Story | None:
            with self.stack.store.read() as session:
                calls = [h.call for h in journal.latest(session, 20) if h.connection == self.connection]
                story = journal.story(session, calls[-number]) if len(calls) >= number else None
            return story if story and set(steps) <= set(steps_of(story)) else None

        found = await self.stack.eventually(complete, f"the journal tells {', '.join(steps)}", within)
        assert isinstance(found, Story)
        return found


def steps_of(story: Story) -> list[str]:
    """The steps of a call in their order."""
    return [beat.step.step for beat in story.beats]


def call_reference(push: Push) -> str:
    """The opaque reference of the call that a push is for."""
    if push.provider == "webpush":
        return str(push.payload["call"])
    if push.provider == "fcm":
        return str(push.payload["nightbell_call"])
    return str(push.payload["nightbell"]["call"])


def invites(phone: Phone) -> list[str]:
    """The Call-IDs of the INVITEs that began a call at this phone, retransmissions left out."""
    return [request.headers["Call-ID"] for request in phone.invites]


async def assert_they_hear_each_other(caller: Call, callee: Call, within: float = 5.0) -> None:
    """Each side plays a tone, and the other side finds it in what it hears."""
    caller.audio.send_tone(CALLER_TONE)
    callee.audio.send_tone(CALLEE_TONE)
    to_callee, to_caller = await asyncio.gather(
        callee.audio.heard(CALLER_TONE, within), caller.audio.heard(CALLEE_TONE, within)
    )
    assert to_callee, "the callee does not hear the caller"
    assert to_caller, "the caller does not hear the callee"


async def answered(outgoing: OutgoingCall, incoming: IncomingCall, within: float = 10.0) -> None:
    """Both ends of a call have been answered."""
    await asyncio.gather(outgoing.answered(within), incoming.answered(within))


async def hang_up(outgoing: OutgoingCall, incoming: IncomingCall) -> None:
    """The caller hangs up, and the callee learns it."""
    reply = await outgoing.hangup()
    assert reply.status == 200
    end = await incoming.ended()
    assert end.cause == "bye"


def about(wait: float) -> Any:
    """To compare with what a wait of so many seconds has taken, as Kamailio times it.

    Every 5 s its clock makes up, in one jump, for the ticks that a busy machine cost it: a timer may also end early.
    """
    return pytest.approx(wait, abs=0.5)
