"""Somebody mistypes a password: a plain 401, a line in the register log that says so, and nothing else is given away."""

from __future__ import annotations

from control.services import registrations
from demo.phone import Phone, Reply
from demo.stack import DemoDevice, Stack
from tests.fixtures.phones import Phones

WRONG = "not-the-password"


async def answer_to(stack: Stack, phones: Phones, user: str, password: str) -> tuple[Phone, Reply]:
    """The registrar's final answer to a device that says it is ``user``."""
    phone = phones(user, password, stack.domain, stack.sip_address())
    return phone, await phone.wake()


async def logged(stack: Stack, device: str) -> list[registrations.Registered]:
    """The register log of a device, once there is something in it."""

    def rows() -> list[registrations.Registered]:
        with stack.store.read() as session:
            return list(registrations.last(session, device))

    found: list[registrations.Registered] = await stack.eventually(rows, f"the register log has {device}")
    return found


async def test_u1_the_register_log_says_wrong_password(stack: Stack, phones: Phones) -> None:
    device = await stack.add_device("phone", "bob")

    _, reply = await answer_to(stack, phones, device.id, WRONG)

    assert reply.status == 401
    assert not stack.bindings(device.id)
    [row] = await logged(stack, device.id)
    assert (row.action, row.reply, row.reason) == ("refused", 401, "wrong password")


async def test_a_name_nobody_has_gets_the_same_answer(stack: Stack, phones: Phones) -> None:
    device = await stack.add_device("phone", "bob")

    known, to_known = await answer_to(stack, phones, device.id, WRONG)
    unknown, to_unknown = await answer_to(stack, phones, "bob-zzzzzz", WRONG)

    assert to_known == to_unknown
    assert shape_of(known) == shape_of(unknown), "the answers tell who is known"
    [row] = await logged(stack, "bob-zzzzzz")
    assert (row.action, row.reply, row.reason) == ("refused", 401, "unknown device")


async def test_the_right_password_works_afterwards(stack: Stack, phones: Phones) -> None:
    device = await stack.add_device("phone", "bob")
    await answer_to(stack, phones, device.id, WRONG)

    _, reply = await answer_to(stack, phones, device.id, device.password)

    assert reply.status == 200
    assert stack.bindings(device.id)


async def test_a_wrong_password_takes_no_binding_away(stack: Stack, phones: Phones) -> None:
    device = await stack.add_device("phone", "bob")
    await answer_to(stack, phones, device.id, device.password)
    before = stack.bindings(device.id)
    intruder = phones(device.id, WRONG, stack.domain, stack.sip_address())
    await intruder.start()

    assert (await intruder.unregister()).status == 401
    assert (await intruder.register()).status == 401

    assert stack.bindings(device.id) == before


async def test_nobody_registers_for_somebody_else(stack: Stack, phones: Phones) -> None:
    alice, bob = await stack.add_device("phone", "alice"), await stack.add_device("phone", "bob")

    phone = phones(bob.id, alice.password, stack.domain, stack.sip_address(), auth_user=alice.id)

    assert (await phone.wake()).status == 403
    assert not stack.bindings(bob.id)
    assert not stack.bindings(alice.id)


async def test_calls_need_the_password_too(stack: Stack, phones: Phones) -> None:
    device: DemoDevice = await stack.add_device("phone", "bob")
    phone = phones(device.id, WRONG, stack.domain, stack.sip_address())
    await phone.start()

    call = await phone.call("600")

    assert (await call.ended()).cause == "refused"
    assert call.final is not None
    assert call.final.status == 407


def shape_of(phone: Phone) -> list[tuple[str, int, list[str]]]:
    """What was said in which order, and with which headers."""
    return [(m.direction, m.status, list(m.message.headers.keys())) for m in phone.messages]
