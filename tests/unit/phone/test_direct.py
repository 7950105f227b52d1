"""Two phones without anything between them."""

from __future__ import annotations

from collections.abc import Callable

from demo.phone import Phone


async def test_a_call_straight_from_phone_to_phone(phones: Callable[..., Phone]) -> None:
    bob = phones("bob", "", "nightbell.test", ("127.0.43.9", 9), local="127.0.43.2")
    await bob.start()
    host, port = bob._core.endpoint.transport.sent_by.split(":")  # type: ignore[union-attr]
    alice = phones(
        "alice", "", "nightbell.test", (host, int(port)), local="127.0.43.1", display_name='Alice "A"'
    )
    await alice.start()
    call = await alice.call("bob")
    incoming = await bob.incoming()
    assert incoming.caller.startswith('"Alice \\"A\\"" <sip:alice@nightbell.test>')
    await call.answered()
    await incoming.answered()
    call.audio.send_tone(440)
    assert await incoming.audio.heard(440)
    # Bob's own server is nowhere: in a dialog he goes where Alice's Contact says.
    assert (await incoming.hold()).status == 200
    assert (await incoming.hangup()).status == 200
    assert (await call.ended()).cause == "bye"
