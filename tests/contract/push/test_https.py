"""One POST and its answer, as it comes over the wire: whole, in pieces, or without an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from control.push import https
from control.push.errors import UnansweredError


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A server that answers each request with these pieces, each in a packet of its own, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.77.1", 0)
    session = https.session(aiohttp.TCPConnector())
    try:
        yield session, f"http://127.0.77.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        await session.close()
        server.close()
        await asyncio.sleep(0.05)


async def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\nRetry-After: 7\r\n\r\n"
    async with answering(head, b'{"reason"', b':"Gone"}\n') as (session, url):
        answer = await https.post(session, url, b"", {})
    assert (answer.status, answer.json(), answer.retry_after) == (404, {"reason": "Gone"}, "7")


async def test_an_answer_without_an_end_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with answering(head, *([b"x" * 16_384] * 6)) as (session, url):
        answer = await https.post(session, url, b"", {})
    assert len(answer.body) == https.MAX_ANSWER
    assert answer.json() == {}


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ((b"",), "connection-lost"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"x"), "protocol-error"),
        ((b"\x15\x03\x01 hello\r\n\r\n",), "protocol-error"),
    ],
)
async def test_what_is_no_answer_says_why(pieces: tuple[bytes, ...], why: str) -> None:
    async with answering(*pieces) as (session, url):
        with pytest.raises(UnansweredError) as error:
            await https.post(session, url, b"", {})
    assert error.value.reason == why
