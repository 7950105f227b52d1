"""A PBX by hand, and Bob's extension at it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.e2e.raw_sip import UdpSocket
from tests.e2e.requests_that_cross.raw_pbx import RawPbx
from tests.e2e.scene import BOB, Scene


@pytest_asyncio.fixture
async def pbx(scene: Scene) -> AsyncIterator[RawPbx]:
    stack = scene.stack
    async with await UdpSocket(stack.sip_address()).open(stack.address) as socket:
        scene.connection = await stack.add_connection(BOB, "bob", port=socket.source[1], register=False)
        yield RawPbx(scene, socket)
