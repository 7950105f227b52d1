"""Bob's app calls out through the PBX.

Nightbell makes the call in the name of Bob's extension. The PBX asks for the extension's password: Nightbell answers,
and the app knows of nothing. Nothing the app says of itself reaches the PBX, least of all its own credential.
"""

from __future__ import annotations

import re

from demo.phone import Answer
from tests.e2e.in_dialog import ring_with, send_in_dialog
from tests.e2e.pbx_trace import PbxTrace, Seen
from tests.e2e.scene import ALICE, BOB, Scene, answered, assert_they_hear_each_other, hang_up, steps_of

ECHO = "600"  # the PBX sends back what it hears
TONE = 700  # Hz

# What would make a trusting PBX believe that the device is somebody else, each spelled in another way.
CLAIMS = (
    ("P-Asserted-Identity", "<sip:claim@pbx>"),
    ("P-ASSERTED-IDENTITY", "<sip:claim@pbx>"),
    ("p-asserted-identity ", "<sip:claim@pbx>"),
    ("P-Asserted-Identity\t", "\r\n <sip:claim@pbx>"),
    ("P-Preferred-Identity", '"Claim"\r\n\t<sip:claim@pbx>'),
    ("Remote-Party-ID", "<sip:claim@pbx>;party=calling"),
    ("Diversion", "<sip:claim@pbx>"),
    ("X-Claim", "1"),
    ("x-claim", "\r\n  claim\r\n  claim"),
    ("X-Asterisk-HangupCause", "claim"),
)


async def sent_by_nightbell(trace: PbxTrace, last: tuple[str, int] = ("BYE", 0)) -> list[Seen]:
    """Every message of a call that the PBX received from Nightbell, once it has written down the last one."""
    await trace.wait_for("in", *last)
    of_no_call = ("REGISTER", "OPTIONS", "NOTIFY")
    return [seen for seen in trace.all() if seen.direction == "in" and seen.method not in of_no_call]


async def test_s7_the_pbx_asks_for_a_password_and_gets_the_extensions(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.awake("phone")

    call = await bob.phone.call(ECHO)
    await call.answered()
    call.audio.send_tone(TONE)
    assert await call.audio.heard(TONE), "the PBX's echo does not come back"
    assert (await call.hangup()).status == 200

    await pbx_trace.wait_for("in", "BYE")
    first, second = pbx_trace.messages("in", "INVITE")
    assert not first.header("Authorization")
    assert f'username="{BOB}"' in second.header("Authorization")
    assert f"sip:{BOB}@" in second.header("From")
    assert not [m for m in bob.phone.messages if m.method == "INVITE" and m.status == 401], (
        "the device was shown the PBX's challenge"
    )
    story = await scene.story("device-bye")
    assert steps_of(story) == [
        *("invite-in", "invite-out", "challenged", "invite-out", "answered", "device-bye")
    ]


async def test_s1_what_follows_in_the_call_has_a_cseq_the_pbx_accepts(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    call = await bob.phone.call(ECHO)
    await call.answered()

    assert (await call.hold()).status == 200
    assert (await call.resume()).status == 200
    assert (await call.hangup()).status == 200

    requests = [m for m in await sent_by_nightbell(pbx_trace) if not m.status and m.method != "ACK"]
    assert [m.method for m in requests] == ["INVITE", "INVITE", "INVITE", "INVITE", "BYE"]
    numbers = [int(m.header("CSeq").split()[0]) for m in requests]
    assert numbers == sorted(set(numbers)), f"the PBX saw CSeq {numbers}"
    at_device = [m for m in bob.phone.messages if m.direction == "in" and m.method == "BYE"]
    assert at_device[0].message.headers["CSeq"].split()[0] == str(numbers[-1] - 1), (
        "not the device's own CSeq"
    )


async def test_s1_the_pbx_hangs_up_and_the_device_learns_it(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    call = await bob.phone.call(ECHO)
    await call.answered()

    scene.stack.pbx.hang_up_all()

    assert (await call.ended()).cause == "bye"
    await scene.story("bye")


async def test_bob_calls_alice_and_they_hear_each_other(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()

    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)

    assert f"sip:{BOB}@" in incoming.caller
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def test_bob_gives_up_while_it_rings(scene: Scene) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    alice.on_invite = Answer(answer_after=None)
    outgoing = await bob.phone.call(ALICE)
    await outgoing.ringing()

    await outgoing.cancel()

    assert (await outgoing.ended()).cause == "cancelled"
    assert outgoing.final is not None
    assert outgoing.final.status == 487
    assert (await (await alice.incoming()).ended()).cause == "cancelled"
    await scene.story("cancelled")


async def test_s6_who_a_device_claims_to_be_never_reaches_the_pbx(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone")

    call = await bob.phone.call(ECHO, headers=CLAIMS)
    await call.answered()
    for method in ("UPDATE", "BYE"):
        await send_in_dialog(bob.phone, call, method, CLAIMS)

    received = await sent_by_nightbell(pbx_trace)
    assert {m.method for m in received} == {"INVITE", "ACK", "UPDATE", "BYE"}
    assert not [m.text for m in received if "claim" in m.text.lower()]


async def test_s6_nor_in_the_answers_to_a_call_of_the_pbx(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    bob.phone.on_invite = Answer(ring_after=None, answer_after=None)
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()

    await ring_with(bob.phone, incoming, CLAIMS)
    await outgoing.ringing()
    incoming.answer()
    await answered(outgoing, incoming)
    await send_in_dialog(bob.phone, incoming, "UPDATE", CLAIMS)
    await hang_up(outgoing, incoming)

    received = await sent_by_nightbell(pbx_trace, ("BYE", 200))
    assert {(m.method, m.status) for m in received} >= {
        ("INVITE", 180),
        ("INVITE", 200),
        ("UPDATE", 0),
        ("BYE", 200),
    }
    assert not [m.text for m in received if "claim" in m.text.lower()]


async def test_w5_the_push_token_of_a_device_never_reaches_the_pbx(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    call = await bob.phone.call(ECHO)
    await call.answered()
    await call.hangup()

    assert not [
        m.text for m in await sent_by_nightbell(pbx_trace) if bob.device.token in m.text or "pn-" in m.text
    ]


async def test_s7_a_devices_own_credential_never_reaches_the_pbx(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone")
    # An app that has been shown a challenge of the PBX once, and answers it ever after.
    own = (
        "Authorization",
        f'Digest username="{bob.id}", realm="asterisk", nonce="1", uri="sip:x", response="0"',
    )

    call = await bob.phone.call(ECHO, headers=(own,))
    await call.answered()
    assert (await call.hold()).status == 200
    for method in ("UPDATE", "BYE"):
        await send_in_dialog(bob.phone, call, method, (own, ("Proxy-Authorization", own[1])))

    credentials = re.compile(r"^(?:Proxy-)?Authorization: .*", re.MULTILINE)
    offered = [line for m in await sent_by_nightbell(pbx_trace) for line in credentials.findall(m.text)]
    assert len(offered) == 1, f"one INVITE is challenged, one credential answers: {offered}"
    assert f'username="{BOB}"' in offered[0]
