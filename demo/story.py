"""The demo: a PBX calls a phone that sleeps, Nightbell wakes it, they talk, and the journal tells it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import click

from control.domain.errors import DomainError
from control.domain.story_text import as_text
from control.host.errors import HostError
from control.services import connections, people
from control.settings_table import FILE_NAME, SettingsError
from control.store.errors import StoreError
from demo.media import relayed_packets
from demo.phone import Answer, Call, Phone, PhoneError, PushReceiver, Recorded
from demo.sandbox import SandboxError
from demo.stack import DemoDevice, Stack

CALLER, CALLEE = "1001", "1002"
USER = "bob"
DEVICE_NAME = "Bob's phone"
VISITOR, VISITOR_USER, VISITOR_DEVICE = "1005", "erin", "Erin's browser"  # for whoever tries the demo
COMPANY = {
    "apns": "Apple's push service (APNs)",
    "fcm": "Google's push service (FCM)",
    "webpush": "A browser's push service",
}
PROTOCOL = {
    "apns": "HTTP/2 over TLS, signed ES256 token",
    "fcm": "HTTPS, OAuth access token, HTTP v1",
    "webpush": "HTTPS, VAPID, encrypted to the browser",
}
WAKE_AFTER = 1.0  # s from the push to the REGISTER, as an app takes to start
ANSWER_AFTER = 1.0  # s of ringing
ALICE_TONE, BOB_TONE = 440, 880  # Hz

_EXPECTED = (AssertionError, DomainError, HostError, PhoneError, SandboxError, SettingsError, StoreError)


def play(home: Path, provider: str = "apns") -> int:
    """Start what does not run, make the call, print its journal; the exit status. The stack stays up."""
    began = time.monotonic()
    # Without TLS: no browser trusts a certificate that was made here, and loopback needs none.
    stack = Stack(home, phone_scheme="ws")
    click.echo(f"Starting a PBX, a push provider and Nightbell on loopback, in {stack.home}\n")
    try:
        _start(stack, began)
        asyncio.run(_Play(stack, provider).run())
        link = asyncio.run(_visitors_link(stack))
    except _EXPECTED as error:
        click.echo(f"\nThe demo failed: {error}", err=True)
        click.echo(f"Logs: {stack.home / 'log'} and {stack.pbx.log}. `make down` stops everything.", err=True)
        return 1
    finally:
        stack.close()
    click.echo(f"\nDone in {time.monotonic() - began:.1f} s. Everything stays up until `make down`:")
    for line in _addresses(stack):
        click.echo(f"  {line}")
    click.echo(
        f"\nA phone for you: open this once, in a browser on this machine.\n\n    {link}\n\n"
        f"Then you are Erin, extension {VISITOR}. Call {CALLER}: Alice's machine answers and sends back what it hears.\n"
        "Call 602: it hangs up, and Alice calls you. Later the browser stays Erin's phone; a new link takes it elsewhere."
    )
    return 0


def take_down(home: Path) -> int:
    """Stop everything; the exit status."""
    stack = Stack(home)
    try:
        for name, ran in stack.stop():
            click.echo(f"  {name:<10} {'stopped' if ran else 'was not running'}")
    except _EXPECTED as error:
        click.echo(str(error), err=True)
        return 1
    return 0


def show_status(home: Path) -> int:
    """Say what runs, and where; 0 if everything does."""
    stack = Stack(home)
    if not (stack.home / FILE_NAME).exists():
        click.echo("nothing runs: there was no `make demo` yet")
        return 1
    complete = True
    for process in stack.processes:
        pid = process.pid
        complete = complete and pid is not None
        click.echo(f"  {process.program.name:<10} {f'pid {pid}' if pid else 'not running'}")
    for line in _addresses(stack):
        click.echo(f"  {line}")
    return 0 if complete else 1


def _start(stack: Stack, began: float) -> None:
    before = time.monotonic()
    for name, started in stack.start():
        now = time.monotonic()
        what = f"ready after {now - before:.1f} s" if started else "was running"
        click.echo(f"  [{now - began:4.1f} s] {name:<10} {what}")
        before = now


def _addresses(stack: Stack) -> Iterator[str]:
    settings = stack.settings
    edge, web = settings.edge, settings.web
    yield (
        f"Nightbell  SIP {edge.address}:{edge.sip_port} (UDP, TCP), {edge.tls_port} (TLS), "
        f"{edge.ws_port} (WS), {edge.wss_port} (WSS)"
    )
    yield f"Journal    http://{web.address}:{web.port}/calls"
    yield f"PBX        SIP {stack.pbx.address}:{stack.pbx.sip_port}; passwords in {stack.pbx.home}/etc/pjsip.conf"
    yield f"Providers  {stack.sandbox.control_url}/health"
    yield f"Command    .venv/bin/nightbell journal show latest --home {stack.home}"


async def _visitors_link(stack: Stack) -> str:
    """A fresh link to Erin's browser. The one that was set up before stays what it is until this one is used."""
    with stack.store.read() as session:
        found = [d.id for d in people.list_devices(session) if d.name == VISITOR_DEVICE]
    device = found[0] if found else (await stack.add_device(VISITOR_DEVICE, VISITOR_USER, "webpush")).id
    await stack.wait_registered(await _connection(stack, VISITOR, VISITOR_USER), within=15.0)
    return stack.link(device)


async def _connection(stack: Stack, extension: str, user: str) -> str:
    """The id of the connection that is this extension; it is made if there is none."""
    with stack.store.read() as session:
        for connection in connections.list_connections(session):
            if connection.user == extension:
                return connection.id
    return await stack.add_connection(extension, user)


class _Play:
    """One performance. Times are shown in milliseconds since Alice dialled."""

    def __init__(self, stack: Stack, provider: str) -> None:
        self.stack, self.provider = stack, provider
        self.dialled = 0.0

    async def run(self) -> None:
        stack = self.stack
        device = await self._device()
        connection = await _connection(stack, CALLEE, USER)
        await stack.wait_registered(connection, within=15.0)
        click.echo(f"\nNightbell is registered at Asterisk as {CALLEE}, on Bob's behalf.")
        async with AsyncExitStack() as closing:
            bob = Phone(device.id, device.password, stack.domain, stack.sip_address(), local=stack.address)
            bob.on_invite = Answer(answer_after=ANSWER_AFTER)
            closing.push_async_callback(bob.sleep)
            await self._put_to_sleep(bob, device)
            account = stack.pbx.accounts[CALLER]
            alice = Phone(
                CALLER,
                account.password,
                stack.address,
                stack.pbx_address,
                local=stack.address,
                display_name=account.name,
            )
            closing.push_async_callback(alice.sleep)
            registered = await alice.wake()
            _check(registered.status == 200, f"Asterisk refused {CALLER}: {registered}")
            click.echo(f"Alice's phone is registered at Asterisk as {CALLER}.\n")
            receiver = PushReceiver(stack.sandbox.control_url, device.token, bob, wake_after=WAKE_AFTER)
            await closing.enter_async_context(receiver)
            call_id = await self._call(alice, bob, receiver, device)
            await alice.unregister()
        click.echo("\nThe journal of that call:\n")
        story = await stack.story_with("register", "answered", "bye", reference=call_id)
        click.echo(as_text(story))

    async def _device(self) -> DemoDevice:
        with self.stack.store.read() as session:
            old = [device.id for device in people.list_devices(session) if device.name == DEVICE_NAME]
        for device_id in old:
            await self.stack.remove_device(device_id)
        return await self.stack.add_device(DEVICE_NAME, USER, self.provider)

    async def _put_to_sleep(self, bob: Phone, device: DemoDevice) -> None:
        """The app is opened once, which tells Nightbell its push token, and closed again."""
        bob.push = device.push
        registered = await bob.wake()
        _check(registered.status == 200, f"Nightbell refused Bob's phone: {registered}")
        await self.stack.wait_wakeable(device)
        bob.push = None  # a REGISTER that removes the binding says nothing of push
        await bob.unregister()
        bob.push = device.push
        await bob.sleep()
        _check(not self.stack.bindings(device.id), "Bob's phone is still registered at Nightbell")
        click.echo("Bob's phone is asleep: no registration at Nightbell, no socket open.")

    async def _call(self, alice: Phone, bob: Phone, receiver: PushReceiver, device: DemoDevice) -> str:
        seen = len(bob.messages)
        self.dialled = time.time()
        outgoing = await alice.call(CALLEE)
        self._tell(self.dialled, f"Alice dials {CALLEE}; Asterisk sends the INVITE to Nightbell")
        delivery = await receiver.delivered(timeout=15.0)
        push = self.stack.sandbox.pushes(device.token)[-1]
        company = COMPANY[self.provider]
        await outgoing.ringing()
        ringing = await alice.wait_for(lambda m: m.direction == "in" and m.status in (180, 183))
        for at, text in sorted(
            [
                (push.received_at, f"{company} has the push ({PROTOCOL[self.provider]}): {push.status}"),
                (delivery.received_at, "… and delivers it: Bob's phone begins to wake up"),
                (ringing.time, "Alice hears it ring"),
            ]
        ):
            self._tell(at, text)
        incoming = await bob.incoming()
        register = next(m for m in bob.messages[seen:] if m.direction == "out" and m.method == "REGISTER")
        self._tell(register.time, "Bob's phone sends REGISTER to Nightbell")
        invite = await bob.wait_for(lambda m: m.direction == "in" and m.method == "INVITE" and not m.status)
        self._tell(invite.time, "Bob's phone receives the INVITE, and rings")
        await outgoing.answered()
        await incoming.answered()
        answer = await alice.wait_for(
            lambda m: m.direction == "in" and m.method == "INVITE" and m.status == 200
        )
        self._tell(answer.time, "Bob answers; Alice's phone receives the 200")
        await self._talk(outgoing, incoming)
        await outgoing.hangup()
        await incoming.ended()
        self._tell(_last(alice, "out", "BYE").time, "Alice hangs up")
        self._tell(_last(bob, "in", "BYE").time, "Bob's phone receives the BYE")
        return incoming.call_id

    async def _talk(self, outgoing: Call, incoming: Call) -> None:
        outgoing.audio.send_tone(ALICE_TONE)
        incoming.audio.send_tone(BOB_TONE)
        to_bob, to_alice = await asyncio.gather(
            incoming.audio.heard(ALICE_TONE, within=5.0), outgoing.audio.heard(BOB_TONE, within=5.0)
        )
        _check(to_bob, f"Bob does not hear Alice's {ALICE_TONE} Hz")
        _check(to_alice, f"Alice does not hear Bob's {BOB_TONE} Hz")
        packets = await asyncio.to_thread(relayed_packets, self.stack.settings, incoming.call_id)
        _check(packets > 0, "the audio does not flow through rtpengine")
        self._tell(
            time.time(),
            f"They hear each other: {ALICE_TONE} Hz at Bob's, {BOB_TONE} Hz at Alice's; "
            f"{packets} packets went through rtpengine",
        )

    def _tell(self, at: float, text: str) -> None:
        click.echo(f"  {(at - self.dialled) * 1000:7.0f} ms  {text}")


def _last(phone: Phone, direction: str, method: str) -> Recorded:
    matching = (m for m in phone.messages if (m.direction, m.method, m.status) == (direction, method, 0))
    return list(matching)[-1]


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
