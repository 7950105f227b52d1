"""One POST to a push service over HTTP/1.1, and its answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from control.push.errors import PushCredentialsError, UnansweredError

MAX_ANSWER = 64 * 1024  # bytes read of an answer's body; what a service has to say is far below


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a service answered. ``headers`` are of any case."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def retry_after(self) -> str | None:
        """The header Retry-After."""
        return self.headers.get("Retry-After")

    def json(self) -> dict[str, Any]:
        """The body, if it is a JSON object; else an empty one."""
        try:
            raw = json.loads(self.body)
        except ValueError:
            return {}
        return raw if isinstance(raw, dict) else {}


def tls_context(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Trust in one file of authorities, or (None) in the system's. Raises PushCredentialsError naming ``setting``."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise PushCredentialsError(f"{setting} {ca_file}: {error}") from None


def session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    """A session without cookies, and without a timeout: the deadline is the caller's."""
    return aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
    )


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]
) -> HttpAnswer:
    """Send a request and read the answer; a redirection is an answer, too. Raises UnansweredError."""
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            return HttpAnswer(response.status, await _body(response), response.headers)
    except aiohttp.ClientError as error:
        raise UnansweredError(why(error), str(error)) from error
    except RuntimeError as error:  # aiohttp's word for a session that was closed meanwhile
        raise UnansweredError("closed", str(error)) from None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER])


def why(error: aiohttp.ClientError) -> str:
    """A word for the journal."""
    match error:
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return "tls-failed"
        case aiohttp.ClientConnectorDNSError():
            return "dns-failed"
        case aiohttp.ClientConnectorError():
            return "connect-failed"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "connection-lost"
        case _:
            return "protocol-error"
