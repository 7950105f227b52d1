"""Keys that a device sends by INFO reach a PBX that knows telephone-events (RFC 4733) alone, and the other way round."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from control.edge import media_figures
from control.services import people
from demo.phone import Call, Phone, Recorded
from demo.stack import Stack
from kemi.wire import TABLE_DEVICE
from tests.e2e.in_dialog import Headers, send_in_dialog
from tests.e2e.keys.desk_phone import EventAudio, EventPhone
from tests.e2e.keys.keypad import KeypadPhone, OpusKeypadPhone
from tests.e2e.pbx_setup import pbx_numbers, pbx_set
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.relay import nothing_relayed, told_of_calls
from tests.e2e.scene import BOB, Scene

LISTENS, PRESSES = "692", "693"
DEVICES = pytest.mark.parametrize(
    ("kind", "transport"),
    [(EventPhone, "udp"), (KeypadPhone, "wss"), (OpusKeypadPhone, "wss")],
    ids=["desk phone", "browser", "browser without G.711"],
)


@pytest.fixture(autouse=True)
def numbers(stack: Stack) -> Iterator[None]:
    """Two numbers of the PBX: one reads eight keys, or up to a #; the other presses some while a tone is played."""
    plan = {
        LISTENS: ("Answer()", "Read(KEYS,,8,,1,8)", "Echo()"),
        PRESSES: ("Answer()", "PlayTones(620)", "Wait(1)", "SendDTMF(90*#)", "Echo()"),
    }
    with pbx_numbers(stack.pbx, plan, "app_read", "app_senddtmf", "res_clioriginate"):
        yield


async def press(phone: Phone, call: Call, keys: str) -> list[int]:
    """Press these keys as JsSIP does: an INFO each; the answers."""
    return [(await inform(phone, call, f"Signal={key}\r\nDuration=120\r\n")).status for key in keys]


async def inform(
    phone: Phone, call: Call, body: str, kind: str = "application/dtmf-relay", headers: Headers = ()
) -> Recorded:
    """Send an INFO; the answer."""
    typed = (("Content-Type", kind), *headers)
    return await send_in_dialog(phone, call, "INFO", typed, body=body.encode())


def asked(stack: Stack) -> list[dict[str, Any]]:
    """What rtpengine says of its calls."""
    (relay,) = stack.settings.rtpengine
    return told_of_calls(relay)


def transcoded(stack: Stack) -> int:
    """How many streams rtpengine transcodes since they were described."""
    medias = [media for call in asked(stack) for tag in call["tags"].values() for media in tag["medias"]]
    return sum("transcoding" in media["flags"] for media in medias)


async def device_speaks(stack: Stack) -> None:
    """Wait until audio of the device has come, in whose place events can be put; the PBX sends none while it reads keys."""

    def speaks() -> bool:
        return any(
            media_figures.sends(call, tag, time.time()) for call in asked(stack) for tag in call["tags"]
        )

    await stack.eventually(speaks, "the device's audio reaches rtpengine", 10.0)


def read_by_pbx(stack: Stack) -> list[str]:
    """The keys that were read in each call to LISTENS so far."""
    return re.findall(r"app_read\.c: User entered '(\S*)'", stack.pbx.log.read_text(errors="replace"))


async def pbx_reads(scene: Scene, keys: str, before: list[str]) -> None:
    await scene.stack.eventually(lambda: len(read_by_pbx(scene.stack)) > len(before), "the PBX has read keys")
    assert read_by_pbx(scene.stack) == [*before, keys]


@DEVICES
async def test_keys_by_info_reach_the_pbx_as_events(
    scene: Scene, kind: type[Phone], transport: str, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.awake("phone", transport=transport, kind=kind)
    before = read_by_pbx(scene.stack)
    call = await bob.phone.call(LISTENS)
    await call.answered()
    await device_speaks(scene.stack)
    assert bool(transcoded(scene.stack)) == (kind is OpusKeypadPhone), "before a key is pressed"
    assert await press(bob.phone, call, "17*0355#") == [200] * 8
    await pbx_reads(scene, "17*0355", before)
    call.audio.send_tone(440)
    assert await call.audio.heard(440)
    assert pbx_trace.messages("in", "INFO") == [], "they came as events"
    await call.hangup()


@DEVICES
async def test_so_they_do_in_a_call_from_the_pbx(
    scene: Scene, kind: type[Phone], transport: str, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.awake("phone", transport=transport, kind=kind)
    before = read_by_pbx(scene.stack)
    scene.stack.pbx.cli(f"channel originate PJSIP/{BOB} extension {LISTENS}@internal")
    call = await bob.phone.incoming()
    await call.answered()
    await device_speaks(scene.stack)
    assert await press(bob.phone, call, "9#") == [200] * 2
    await pbx_reads(scene, "9", before)
    assert pbx_trace.messages("in", "INFO") == [], "they came as events"
    await call.hangup()


async def test_the_pbxs_info_reaches_a_device_as_events_where_it_is_set_so(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=EventPhone)
    with scene.stack.store.write() as session:
        people.change_device(session, bob.id, dtmf="rfc4733")
    await scene.stack.eventually(
        lambda: "rfc4733" in (scene.stack.table(TABLE_DEVICE, bob.id) or ""), "Kamailio knows"
    )
    with pbx_set(scene.stack.pbx, BOB, "endpoint", dtmf_mode="info"):
        call = await bob.phone.call(PRESSES)
        await call.answered()
        assert isinstance(call.audio, EventAudio)
        assert await call.audio.have_come("90*#"), f"came: {call.audio.pressed!r}"
        await call.hangup()


async def test_a_device_without_events_reaches_a_pbx_that_is_to_get_events(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension(dtmf="rfc4733")
    bob = await scene.awake("phone")
    before = read_by_pbx(scene.stack)
    call = await bob.phone.call(LISTENS)
    await call.answered()
    await device_speaks(scene.stack)
    assert transcoded(scene.stack) > 0, "a device without events needs it"
    assert await press(bob.phone, call, "17#") == [200] * 3
    await pbx_reads(scene, "17", before)
    call.audio.send_tone(440)
    assert await call.audio.heard(440)
    await call.hangup()
    await nothing_relayed(scene.stack)
    scene.stack.pbx.cli(f"channel originate PJSIP/{BOB} extension {LISTENS}@internal")
    called = await bob.phone.incoming()
    await called.answered()
    await device_speaks(scene.stack)
    assert await press(bob.phone, called, "42#") == [200] * 3
    await pbx_reads(scene, "42", [*before, "17"])
    assert pbx_trace.messages("in", "INFO") == [], "they came as events"
    await called.hangup()


async def test_a_device_with_events_is_not_transcoded_for_a_pbx_that_is_to_get_events(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension(dtmf="rfc4733")
    bob = await scene.awake("phone", kind=EventPhone)
    before = read_by_pbx(scene.stack)
    scene.stack.pbx.cli(f"channel originate PJSIP/{BOB} extension {LISTENS}@internal")
    call = await bob.phone.incoming()
    await call.answered()
    await device_speaks(scene.stack)
    assert transcoded(scene.stack) == 0
    assert await press(bob.phone, call, "42#") == [200] * 3
    await pbx_reads(scene, "42", before)
    assert pbx_trace.messages("in", "INFO") == [], "they came as events"
    await call.hangup()


async def test_a_pbx_that_is_to_get_infos_gets_them(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension(dtmf="info")
    bob = await scene.awake("phone", kind=EventPhone)
    before = read_by_pbx(scene.stack)
    call = await bob.phone.call(LISTENS)
    await call.answered()
    assert await press(bob.phone, call, "17#") == [200] * 3
    await pbx_reads(scene, "17", before)
    assert len(pbx_trace.messages("in", "INFO")) == 3
    await call.hangup()


async def test_a_pbx_without_events_gets_infos(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=EventPhone)
    before = read_by_pbx(scene.stack)
    with pbx_set(scene.stack.pbx, BOB, "endpoint", dtmf_mode="info"):
        call = await bob.phone.call(LISTENS)
        await call.answered()
        assert await press(bob.phone, call, "17#") == [200] * 3
        await pbx_reads(scene, "17", before)
        assert len(pbx_trace.messages("in", "INFO")) == 3
        await call.hangup()


async def test_without_an_edge_agent_keys_go_on_by_info(scene: Scene, pbx_trace: PbxTrace) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=EventPhone)
    before = read_by_pbx(scene.stack)
    call = await bob.phone.call(LISTENS)
    await call.answered()
    scene.stack.edge.kill()
    assert await press(bob.phone, call, "17#") == [200] * 3
    await pbx_reads(scene, "17", before)
    assert len(pbx_trace.messages("in", "INFO")) == 3
    await call.hangup()


async def test_a_phone_that_sends_no_audio_has_its_keys_go_on_by_info(scene: Scene) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=EventPhone)
    before = read_by_pbx(scene.stack)
    call = await bob.phone.call(LISTENS)
    call.audio.never_send()
    await call.answered()
    assert await press(bob.phone, call, "17#") == [200] * 3
    await pbx_reads(scene, "17", before)
    await call.hangup()


async def test_infos_that_are_no_keys_are_refused_or_go_on_untouched(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    await scene.extension()
    bob = await scene.awake("phone", kind=EventPhone)
    before = read_by_pbx(scene.stack)
    call = await bob.phone.call(LISTENS)
    await call.answered()
    for body, kind, headers, code in (
        ("Signal=x\r\nDuration=100\r\n", "application/dtmf-relay", (), 400),
        ("nothing at all", "application/dtmf-relay", (), 400),
        ("\0\0\0", "application/dtmf", (), 400),
        ("Signal=1\r\n", "application/dtmf-relay", (("Content-Encoding", "gzip"),), 415),
    ):
        refused = await inform(bob.phone, call, body, kind, headers)
        assert refused.status == code, body
        assert f"cause={code}" in refused.message.headers["Reason"]
    assert pbx_trace.messages("in", "INFO") == []

    picture = "<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>"
    await inform(bob.phone, call, picture, "application/media_control+xml")
    seen = await pbx_trace.wait_for("in", "INFO")
    assert seen.header("Content-Type") == "application/media_control+xml"
    assert seen.text.endswith(picture + "\n") or picture in seen.text

    assert await press(bob.phone, call, "17#") == [200] * 3
    await pbx_reads(scene, "17", before)
    await call.hangup()
