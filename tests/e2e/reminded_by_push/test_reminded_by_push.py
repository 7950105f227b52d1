"""Bob's app says that it refreshes its binding by itself, and is killed: before the binding is gone, a push reminds it."""

from __future__ import annotations

import asyncio

from demo.stack import Stack
from tests.e2e.registering import registers


async def test_an_app_that_does_not_refresh_is_reminded_even_by_an_agent_that_was_restarted(
    stack: Stack,
) -> None:
    bob = await stack.add_device("phone", "bob", "fcm")
    parameters = f";pn-provider={bob.pn_provider};pn-param={bob.pn_param};pn-prid={bob.token}"
    answer = await registers(stack, bob, parameters, ";+sip.pnsreg;expires=30")
    assert str(answer.headers["Feature-Caps"]).startswith('*;+sip.pns="fcm";+sip.pnsreg="20";')
    await stack.wait_wakeable(bob)

    await asyncio.to_thread(stack.edge.kill)
    await asyncio.to_thread(stack.edge.start)

    pushes = await stack.eventually(lambda: stack.sandbox.pushes(bob.token), "a push reminds it", 20.0)
    assert pushes[0].payload["nightbell_type"] == "refresh"
    assert stack.bindings(bob.id), "the binding was gone before"
