"""An administrator changes connections while they are at work: only those that are meant notice, and within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from control.domain.credential import ha1_md5, ha1_sha256
from control.domain.registration_phrases import advice
from control.domain.secret import Secret
from control.services import alarms, connection_changes, keys, registrations, upstream
from control.services.connections import get_connection
from control.store.models import Connection
from control.store.session import SEAL_KEY_FILE
from demo.stack import Stack
from kemi.wire import TABLE_CONNECTION, ConnectionDoc
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, CAROL, Scene

AT_ONCE = 1.0  # s


def sends(trace: PbxTrace, connection: str) -> int:
    """How many REGISTERs of a connection the PBX has received."""
    return sum(f"sip:{connection}@" in m.header("Contact") for m in trace.messages("in", "REGISTER"))


def at_pbx(stack: Stack, extension: str) -> bool:
    return bool(stack.pbx.contacts(extension))


def set_(stack: Stack, connection: str, **values: object) -> None:
    with stack.store.write() as session:
        connection_changes.change(session, connection, values)


def switch(stack: Stack, connection: str, *, on: bool) -> None:
    with stack.store.write() as session:
        connection_changes.enable(session, connection, on=on)


async def within_a_second(stack: Stack, condition: Callable[[], object], what: str) -> None:
    await stack.eventually(condition, what, AT_ONCE)


async def test_r6_a_disabled_connection_signs_off_and_comes_back_within_a_second(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    stack, connection = scene.stack, await scene.extension()
    other = await stack.add_connection(CAROL, "carol")
    await stack.wait_registered(other)
    before = sends(pbx_trace, other)

    switch(stack, connection, on=False)
    await within_a_second(stack, lambda: not at_pbx(stack, BOB), "Bob's extension is signed off")
    switch(stack, connection, on=True)
    await within_a_second(stack, lambda: at_pbx(stack, BOB), "Bob's extension is registered again")

    assert sends(pbx_trace, other) == before, "another connection was registered anew"


async def test_r2_a_connection_is_tried_within_a_second_when_somebody_says_so(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    stack, connection = scene.stack, await scene.extension()
    before = sends(pbx_trace, connection)
    with stack.store.write() as session:
        connection_changes.retry(session, connection)
    await within_a_second(stack, lambda: sends(pbx_trace, connection) > before, "it is tried")
    assert at_pbx(stack, BOB)


async def test_r6_a_change_the_pbx_would_not_notice_sends_it_nothing(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    stack, connection = scene.stack, await scene.extension()
    before = sends(pbx_trace, connection)

    set_(stack, connection, name="renamed", wait=7.0, media="direct")

    def told() -> bool:
        text = stack.table(TABLE_CONNECTION, connection)
        return text is not None and ConnectionDoc.decode(text).media == "direct"

    await within_a_second(stack, told, "Kamailio knows of the change")
    set_(stack, connection, expires=900)
    await within_a_second(stack, lambda: sends(pbx_trace, connection) > before, "a new expiry is registered")


async def test_r2_a_stopped_connection_is_an_alarm_until_its_password_is_right(scene: Scene) -> None:
    stack = scene.stack
    connection = await stack.add_connection(BOB, "bob", password=Secret("not-the-password"))

    def why() -> str:
        with stack.store.read() as session:
            state = upstream.states(session).get(connection)
            return state.why if state else ""

    await stack.eventually(lambda: why() == "wrong-password", "the refusal is known, and why")
    with stack.store.read() as session:
        row = get_connection(session, connection)
        words = advice(upstream.standing(row, upstream.states(session), time.time()))
        assert "password" in words

    set_(stack, connection, password=Secret(stack.pbx.accounts[BOB].password))

    await stack.wait_registered(connection, within=3.0)
    await stack.eventually(lambda: why() == "", "it is known to be well")
    with stack.store.read() as session:
        assert alarms.count(session) == 0
        log = [run.last.state for run in registrations.of_connection(session, connection)]
    assert log[0] == "registered"
    assert {"refused", "stopped"} & set(log)


async def test_keys_rotate_under_a_running_system(scene: Scene) -> None:
    stack, connection = scene.stack, await scene.extension()
    key_file = stack.settings.home / SEAL_KEY_FILE
    old = key_file.read_text()

    done = await asyncio.to_thread(keys.rotate, stack.store, key_file)
    assert done.resealed >= 1
    assert key_file.read_text() != old

    # The edge agent has read the key file at its start; it must open what is sealed with the new key.
    set_(stack, connection, password=Secret(stack.pbx.accounts[BOB].password), expires=700)

    def told() -> bool:
        text = stack.table(TABLE_CONNECTION, connection)
        return text is not None and ConnectionDoc.decode(text).expires == 700

    await stack.eventually(told, "the agent reads what was sealed with the new key")
    await stack.wait_registered(connection)


async def test_no_credential_stands_in_clear_in_any_table_file_or_log(scene: Scene) -> None:
    stack, connection = scene.stack, await scene.extension()
    await scene.awake("Phone")
    with stack.store.read() as session:
        row = session.get(Connection, connection)
        assert row is not None
        realm, user = row.realm, row.auth_user
    password = stack.pbx.accounts[BOB].password
    secrets = digests(user, realm, password)
    shown = str(stack.table(TABLE_CONNECTION, connection))
    files = [
        *(path for path in (stack.settings.home / "state").iterdir() if path.is_file()),
        *(path for path in (stack.settings.home / "log").iterdir() if path.is_file()),
    ]
    found = shown.encode() + b"".join(path.read_bytes() for path in files)
    assert b"~" in shown.encode()
    assert realm.encode() in found
    assert [name for name, secret in secrets.items() if secret.encode() in found] == []


def digests(user: str, realm: str, password: str) -> dict[str, str]:
    return {
        "password": password,
        "MD5": ha1_md5(user, realm, password),
        "SHA-256": ha1_sha256(user, realm, password),
    }


async def test_a_trunk_is_known_by_address_and_number_and_registers_nowhere(scene: Scene) -> None:
    stack = scene.stack
    await scene.awake("Phone")
    trunk = await stack.add_connection(
        BOB, "bob", strategy="trunk", users=(), numbers=(("+4930123", "bob"),), password=Secret("")
    )
    await stack.eventually(lambda: stack.table("number", f"{trunk}/+4930123"), "Kamailio knows the number")
    assert stack.table("trunk", stack.address) == trunk
    assert not at_pbx(stack, BOB)
    switch(stack, trunk, on=False)
    await within_a_second(
        stack, lambda: stack.table("trunk", stack.address) is None, "a disabled trunk is known no more"
    )
