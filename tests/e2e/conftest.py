"""Each scenario plays on the real system: Asterisk, Kamailio, rtpengine, the edge agent and the providers' sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from demo.stack import Stack
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import Scene
from tests.fixtures.phones import Phones, phones
from tests.fixtures.stack import running_stack, stack

__all__ = ["phones", "running_stack", "stack"]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need the stack: `pytest -m "not stack"` leaves them out."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.stack)


@pytest_asyncio.fixture
async def scene(stack: Stack, phones: Phones) -> AsyncIterator[Scene]:
    """The people of the stories, with their phones and extensions: none at first."""
    async with AsyncExitStack() as closing:
        yield Scene(stack, phones, closing)


@pytest.fixture
def pbx_trace(stack: Stack) -> PbxTrace:
    """What the PBX sends and receives from now on, as it saw it itself."""
    return PbxTrace(stack)
