"""Kamailio ends between two calls, in order or by a crash, and starts again: nobody has to do anything for the second call."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from demo.phone import Phone
from demo.stack import Stack
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.pbx_trace import PbxTrace, Seen
from tests.e2e.scene import ALICE, BOB, Handset, Scene, answered, assert_they_hear_each_other, hang_up

SHORT = 6  # s, so that a refresh is due each second
HOW = pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])


def restart(stack: Stack, how: str) -> None:
    """End Kamailio, and start it as its supervisor would."""
    before = stack.kamailio.pid
    if how == "SIGKILL":
        stack.kamailio.kill()
    else:
        stack.kamailio.stop()
    stack.kamailio.start()
    assert stack.kamailio.pid != before


async def written_down(stack: Stack, path: Path, query: str, key: str) -> None:
    """Wait until what is written behind, each second or as events come, is on disk."""

    def is_there() -> bool:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(query, (key,)).fetchone() is not None

    await stack.eventually(is_there, f"{key} is in {path.name}")


async def binding_kept(stack: Stack, handset: Handset) -> None:
    """The binding of a device is on disk."""
    await written_down(
        stack, stack.settings.location_db, "select 1 from location where username = ?", handset.id
    )


async def registration_kept(stack: Stack, connection: str) -> None:
    """The registration at the PBX is on disk."""
    query = "select 1 from upstream where key_name = ?"
    await written_down(stack, stack.settings.projection_db, query, connection)


async def alice_calls_bob(alice: Phone, bob: Handset) -> None:
    """A whole call: they hear each other, and hang up."""
    outgoing = await alice.call(BOB)
    incoming = await bob.phone.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


async def bob_calls_alice(bob: Handset, alice: Phone) -> None:
    """The same the other way round."""
    outgoing = await bob.phone.call(ALICE)
    incoming = await alice.incoming()
    await answered(outgoing, incoming)
    await assert_they_hear_each_other(outgoing, incoming)
    await hang_up(outgoing, incoming)


@HOW
async def test_r1_the_next_calls_find_device_and_registration_as_they_were(
    scene: Scene, pbx_trace: PbxTrace, how: str
) -> None:
    stack = scene.stack
    connection = await scene.extension()
    bob, alice = await scene.awake("phone"), await scene.caller()
    await alice_calls_bob(alice, bob)
    await binding_kept(stack, bob)
    await registration_kept(stack, connection)
    bindings, contacts = stack.bindings(bob.id), stack.pbx.contacts(BOB)
    registers = len(pbx_trace.messages("in", "REGISTER"))

    restart(stack, how)

    assert stack.bindings(bob.id) == bindings
    assert stack.pbx.contacts(BOB) == contacts
    await alice_calls_bob(alice, bob)
    await bob_calls_alice(bob, alice)
    assert len(pbx_trace.messages("in", "REGISTER")) == registers, "a valid registration was made again"
    assert not scene.pushes(bob), "a device that is awake was pushed"


@HOW
async def test_r1_the_registration_goes_on_with_the_same_call_id(
    scene: Scene, pbx_trace: PbxTrace, how: str
) -> None:
    stack = scene.stack
    with pbx_set(stack.pbx, BOB, "aor", maximum_expiration=SHORT):
        await scene.extension()
        await stack.eventually(lambda: len(accepted(pbx_trace)) >= 2, "a refresh")

        restart(stack, how)

        before = len(accepted(pbx_trace))
        await stack.eventually(lambda: len(accepted(pbx_trace)) > before, "a refresh after the restart")
    sent = pbx_trace.messages("in", "REGISTER")
    assert len({(m.header("Call-ID"), m.header("From")) for m in sent}) == 1
    numbers = [int(m.header("CSeq").split()[0]) for m in sent]
    assert numbers == sorted(set(numbers)), f"CSeq went back or stood still: {numbers}"


@HOW
async def test_r1_a_registration_over_tcp_that_died_with_it_is_made_again(
    scene: Scene, pbx_trace: PbxTrace, how: str
) -> None:
    stack = scene.stack
    connection = await scene.extension(transport="tcp")
    bob, alice = await scene.awake("phone"), await scene.caller()
    await registration_kept(stack, connection)
    await binding_kept(stack, bob)

    restart(stack, how)

    await stack.wait_registered(connection, within=3.0)
    await alice_calls_bob(alice, bob)


@HOW
@pytest.mark.parametrize("transport", ["tcp", "tls", "ws"])
async def test_w7_a_device_whose_connection_died_with_it_is_woken(
    scene: Scene, how: str, transport: str
) -> None:
    stack = scene.stack
    await scene.extension()
    bob, alice = await scene.awake("phone", transport=transport), await scene.caller()
    await binding_kept(stack, bob)

    restart(stack, how)

    await bob.phone.until(lambda: bool(bob.phone.lost), what="the connection is lost")
    await scene.listen(bob)
    await alice_calls_bob(alice, bob)
    assert len(scene.pushes(bob)) == 1


def accepted(trace: PbxTrace) -> list[Seen]:
    """The REGISTERs the PBX has accepted."""
    return trace.messages("out", "REGISTER", 200)
