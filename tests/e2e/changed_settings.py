"""Other settings for a while."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control.host.files import write_private
from control.settings_table import FILE_NAME
from demo.stack import Stack


@asynccontextmanager
async def settings(stack: Stack, table: str, **values: str | int) -> AsyncIterator[None]:
    """The edge agent runs with these keys in a table of nightbell.toml, and afterwards without them again."""
    path = stack.home / FILE_NAME
    before = path.read_text("utf-8")
    head = f"[{table}]\n"
    lines = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    text = before.replace(head, head + lines) if head in before else f"{before}\n{head}{lines}"
    tomllib.loads(text)
    try:
        write_private(path, text)
        await asyncio.to_thread(stack.edge.restart)
        yield
    finally:
        write_private(path, before)
        await asyncio.to_thread(stack.edge.restart)
